//! The Ticket Service: an availability check that saves a Reserve when everything is sold.

use bookingq_core::{Details, QueueName};
use bookingq_proto::v1;
use bookingq_proto::v1::ticket_service_client::TicketServiceClient;

use super::channel::{DownstreamError, ServiceChannels};
use super::{ServiceCallError, call};
use crate::config::Downstream;

/// Calls the Ticket Service.
#[derive(Debug)]
pub struct TicketClient {
    queue: QueueName,
    channels: ServiceChannels,
}

impl TicketClient {
    /// A client that connects with its first call.
    ///
    /// # Errors
    /// When the endpoint or its TLS files cannot be used.
    pub fn new(queue: QueueName, config: &Downstream) -> Result<Self, DownstreamError> {
        Ok(Self { queue, channels: ServiceChannels::new("Ticket Service", config)? })
    }

    /// Whether it is worth calling the Booking Service.
    ///
    /// # Errors
    /// [`ServiceCallError`]: call the Booking Service.
    pub async fn available(&self, details: &Details) -> Result<bool, ServiceCallError> {
        let request = v1::CheckAvailabilityRequest {
            queue: self.queue.to_string(),
            item: details.item.to_string(),
            quantity: details.quantity.get() as i32,
        };
        let mut client = TicketServiceClient::new(self.channels.pick());
        let timeout = self.channels.timeout();
        Ok(call(timeout, request, |request| client.check_availability(request)).await?.available)
    }
}

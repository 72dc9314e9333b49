//! The Ticket Service: an availability check that saves a Reserve when everything is sold, and
//! finds stock that came back.

use bookingq_core::{Quantity, QueueName};
use bookingq_proto::v1;
use bookingq_proto::v1::ticket_service_client::TicketServiceClient;

use super::channel::{DownstreamError, ServiceChannels};
use super::{ServiceCallError, call};
use crate::config::Downstream;

/// The Ticket Service's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketAnswer {
    /// Whether it is worth calling the Booking Service.
    pub available: bool,
    /// How many are left; `None` = unknown.
    pub left: Option<u64>,
}

impl TicketAnswer {
    /// The word used in metrics.
    pub fn as_str(self) -> &'static str {
        if self.available { "available" } else { "sold_out" }
    }
}

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

    /// Whether this many of an item are left.
    ///
    /// # Errors
    /// [`ServiceCallError`]: call the Booking Service.
    pub async fn check(
        &self,
        item: &str,
        quantity: Quantity,
    ) -> Result<TicketAnswer, ServiceCallError> {
        let request = v1::CheckAvailabilityRequest {
            queue: self.queue.to_string(),
            item: item.to_owned(),
            quantity: quantity.get() as i32,
        };
        let mut client = TicketServiceClient::new(self.channels.pick());
        let timeout = self.channels.timeout();
        let answer = call(timeout, request, |request| client.check_availability(request)).await?;
        let left = u64::try_from(answer.remaining).ok();
        Ok(TicketAnswer { available: answer.available, left })
    }
}

//! The Booking Service: Reserve, Confirm and Release as typed calls with typed answers.

use std::time::Duration;

use bookingq_core::{Outcome, PaymentId, QueueName, ReservationId};
use bookingq_proto::convert;
use bookingq_proto::v1::booking_service_client::BookingServiceClient;
use bookingq_proto::v1::{self, confirm_response, reserve_response};
use bookingq_store::{Task, TaskKind};
use tokio::time::Instant;
use tonic::Code;

use super::breaker::Breaker;
use super::channel::{DownstreamError, ServiceChannels};
use super::{ServiceCallError, call};
use crate::config::Downstream;

/// The Booking Service's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceAnswer {
    /// Reserved.
    Reserved {
        /// The id of the reservation.
        reservation: ReservationId,
        /// How many are left; `None` = unknown.
        left: Option<u64>,
    },
    /// Not enough stock is left at the moment.
    SoldOut {
        /// How many are left; `None` = unknown.
        left: Option<u64>,
        /// How many others hold that may come back.
        elsewhere: u64,
    },
    /// Refused, with the reason.
    Rejected(String),
    /// Sold. As an answer to Release: it was sold before, and stays so.
    Confirmed,
    /// Back on sale.
    Released,
}

impl ServiceAnswer {
    /// The word used in metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Reserved { .. } => "reserved",
            Self::SoldOut { .. } => "sold_out",
            Self::Rejected(_) => "rejected",
            Self::Confirmed => "confirmed",
            Self::Released => "released",
        }
    }
}

/// Calls the Booking Service, and keeps its circuit breaker.
#[derive(Debug)]
pub struct BookingClient {
    queue: QueueName,
    channels: ServiceChannels,
    /// Follows whether the service answers.
    pub breaker: Breaker,
}

impl BookingClient {
    /// A client that connects with its first call.
    ///
    /// # Errors
    /// When the endpoint or its TLS files cannot be used.
    pub fn new(queue: QueueName, config: &Downstream) -> Result<Self, DownstreamError> {
        let channels = ServiceChannels::new("Booking Service", config)?;
        Ok(Self { queue, channels, breaker: Breaker::new() })
    }

    /// Deadline of one call.
    pub fn timeout(&self) -> Duration {
        self.channels.timeout()
    }

    /// Makes the call of a task, and reports its result to the breaker.
    ///
    /// # Errors
    /// [`ServiceCallError`]: the outcome is unknown, and the call must be repeated.
    pub async fn perform(
        &self,
        task: &Task,
        hold: Duration,
    ) -> Result<ServiceAnswer, ServiceCallError> {
        let answer = match &task.kind {
            TaskKind::Reserve => self.reserve(task, hold).await,
            TaskKind::Confirm { reservation, payment } => {
                self.confirm(task, reservation, payment).await
            }
            TaskKind::Release { reservation, outcome } => {
                self.release(task, reservation.as_ref(), *outcome).await
            }
        };
        match &answer {
            Ok(_) => self.breaker.succeeded(Instant::now()),
            Err(_) => self.breaker.failed(Instant::now()),
        }
        answer
    }

    fn client(&self) -> BookingServiceClient<tonic::transport::Channel> {
        BookingServiceClient::new(self.channels.pick())
    }

    async fn reserve(
        &self,
        task: &Task,
        hold: Duration,
    ) -> Result<ServiceAnswer, ServiceCallError> {
        let request = v1::ReserveRequest {
            booking_id: task.booking.to_string(),
            queue: self.queue.to_string(),
            client_id: task.client.to_string(),
            item: task.details.item.to_string(),
            quantity: task.details.quantity.get() as i32,
            payload: task.details.payload.to_vec().into(),
            hold: Some(convert::duration(hold)),
            attempt: task.attempts + 1,
        };
        let mut client = self.client();
        let response = call(self.timeout(), request, |request| client.reserve(request)).await?;
        match response.outcome {
            Some(reserve_response::Outcome::Reserved(reserved)) => {
                // An id that cannot be stored counts as no answer: the reservation is released by
                // its booking id.
                ReservationId::new(&reserved.reservation_id)
                    .map(|reservation| ServiceAnswer::Reserved { reservation, left: reserved.left })
                    .map_err(|invalid| malformed(&invalid.to_string()))
            }
            Some(reserve_response::Outcome::SoldOut(sold_out)) => Ok(ServiceAnswer::SoldOut {
                left: sold_out.left,
                elsewhere: sold_out.held_elsewhere,
            }),
            Some(reserve_response::Outcome::Rejected(rejected)) => {
                Ok(ServiceAnswer::Rejected(rejected.reason))
            }
            None => Err(malformed("ReserveResponse has no outcome")),
        }
    }

    async fn confirm(
        &self,
        task: &Task,
        reservation: &ReservationId,
        payment: &PaymentId,
    ) -> Result<ServiceAnswer, ServiceCallError> {
        let request = v1::ConfirmRequest {
            booking_id: task.booking.to_string(),
            queue: self.queue.to_string(),
            client_id: task.client.to_string(),
            reservation_id: reservation.to_string(),
            payment_id: payment.to_string(),
            attempt: task.attempts + 1,
        };
        let mut client = self.client();
        let response = call(self.timeout(), request, |request| client.confirm(request)).await?;
        match response.outcome {
            Some(confirm_response::Outcome::Confirmed(_)) => Ok(ServiceAnswer::Confirmed),
            Some(confirm_response::Outcome::Rejected(rejected)) => {
                Ok(ServiceAnswer::Rejected(rejected.reason))
            }
            None => Err(malformed("ConfirmResponse has no outcome")),
        }
    }

    async fn release(
        &self,
        task: &Task,
        reservation: Option<&ReservationId>,
        outcome: Outcome,
    ) -> Result<ServiceAnswer, ServiceCallError> {
        let request = v1::ReleaseRequest {
            booking_id: task.booking.to_string(),
            queue: self.queue.to_string(),
            client_id: task.client.to_string(),
            reservation_id: reservation.map(ToString::to_string).unwrap_or_default(),
            cause: v1::ReleaseCause::from(outcome).into(),
            attempt: task.attempts + 1,
        };
        let mut client = self.client();
        let response = call(self.timeout(), request, |request| client.release(request)).await?;
        Ok(if response.confirmed { ServiceAnswer::Confirmed } else { ServiceAnswer::Released })
    }
}

fn malformed(what: &str) -> ServiceCallError {
    ServiceCallError::Answered(Code::Internal, format!("malformed answer: {what}"))
}

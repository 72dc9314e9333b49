//! Parses messages into typed values: past this file there are no bare strings and integers.

use std::sync::Arc;

use bookingq_core::ids::Invalid;
use bookingq_core::limits::{MAX_ENQUEUE_BATCH, MAX_ID_BYTES, MAX_STATUS_BATCH};
use bookingq_core::{BookingId, ClientId, Details, EventSeq, PaymentId, QueueName, RequestId};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_store::{Cancel, Confirm, Enqueue};

/// Where a FollowQueue stream begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowFrom {
    /// With what happens from now on.
    Now,
    /// Where another stream ended.
    After {
        /// The epoch of the data that it followed.
        epoch: String,
        /// Everything up to here has arrived.
        sequence: EventSeq,
    },
}

/// Parses requests for one queue.
#[derive(Debug, Clone)]
pub struct Parser {
    queue: QueueName,
}

impl Parser {
    /// A parser for the queue that this worker serves.
    pub fn new(queue: QueueName) -> Self {
        Self { queue }
    }

    /// The queue this worker serves.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Whether the request is for this queue.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for an invalid name, `QUEUE_NOT_FOUND` for another queue.
    pub fn check_queue(&self, asked: &str) -> Result<(), ApiError> {
        if asked == self.queue.as_str() {
            return Ok(());
        }
        let name = QueueName::new(asked)?;
        Err(ApiError::QueueNotFound { asked: format!("\"{name}\""), serves: self.queue.clone() })
    }

    /// Parses an Enqueue.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn enqueue(
        &self,
        request: &v1::EnqueueRequest,
        trace: Option<String>,
    ) -> Result<Enqueue, ApiError> {
        self.check_queue(&request.queue)?;
        Ok(Enqueue {
            client: ClientId::new(&request.client_id)?,
            request: RequestId::new(&request.request_id)?,
            booking: BookingId::generate(),
            details: Details::new(&request.item, request.quantity, &request.payload)?,
            trace,
        })
    }

    /// Checks the size of a batch.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` when empty or over 1,000.
    pub fn check_batch(len: usize) -> Result<(), ApiError> {
        if (1..=MAX_ENQUEUE_BATCH).contains(&len) {
            return Ok(());
        }
        Err(Invalid::new("requests", &format!("{len} entries"), "1 to 1000 entries").into())
    }

    /// Parses the client of a request.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn client(&self, queue: &str, client_id: &str) -> Result<ClientId, ApiError> {
        self.check_queue(queue)?;
        Ok(ClientId::new(client_id)?)
    }

    /// Parses the clients of a batch.
    ///
    /// # Errors
    /// The first invalid field; an invalid client is named `client_ids[17]`.
    pub fn clients(&self, request: &v1::GetStatusBatchRequest) -> Result<Vec<ClientId>, ApiError> {
        self.check_queue(&request.queue)?;
        let len = request.client_ids.len();
        if !(1..=MAX_STATUS_BATCH).contains(&len) {
            let value = format!("{len} entries");
            return Err(Invalid::new("client_ids", &value, "1 to 1000 entries").into());
        }
        let client = |(index, id): (usize, &String)| {
            ClientId::new(id).map_err(|invalid| invalid.in_list("client_ids", index).into())
        };
        request.client_ids.iter().enumerate().map(client).collect()
    }

    /// Parses a FollowQueue.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn follow(&self, request: &v1::FollowQueueRequest) -> Result<FollowFrom, ApiError> {
        const RULE: &str = "the `epoch` of the last message; empty without a sequence";
        self.check_queue(&request.queue)?;
        let v1::FollowQueueRequest { epoch, after_ms, after_number, .. } = request;
        let sequence = EventSeq { ms: *after_ms, number: *after_number };
        match epoch.len() {
            0 if sequence == EventSeq::START => Ok(FollowFrom::Now),
            1..=MAX_ID_BYTES => Ok(FollowFrom::After { epoch: epoch.clone(), sequence }),
            _ => Err(Invalid::new("epoch", epoch, RULE).into()),
        }
    }

    /// Parses a Cancel.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn cancel(&self, request: &v1::CancelRequest) -> Result<Cancel, ApiError> {
        let client = self.client(&request.queue, &request.client_id)?;
        Ok(Cancel { client, booking: booking_id(&request.booking_id)? })
    }

    /// Parses the name of an item.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if it is none.
    pub fn item(&self, item: &str) -> Result<Arc<str>, ApiError> {
        Ok(Details::new(item, 1, &[])?.item)
    }

    /// Parses a ConfirmPayment.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn confirm(&self, request: &v1::ConfirmPaymentRequest) -> Result<Confirm, ApiError> {
        let client = self.client(&request.queue, &request.client_id)?;
        Ok(Confirm {
            client,
            booking: booking_id(&request.booking_id)?,
            payment: PaymentId::new(&request.payment_id)?,
            reacquire: request.reacquire.then(BookingId::generate),
        })
    }
}

fn booking_id(value: &str) -> Result<Option<BookingId>, Invalid> {
    if value.is_empty() { Ok(None) } else { BookingId::new(value).map(Some) }
}

//! The messages of `BookingWorkerService`.

use bookingq_core::limits::{MAX_ENQUEUE_BATCH, MAX_PAYLOAD_BYTES, MAX_STATUS_BATCH};
use bookingq_core::{ClientId, EventSeq, QueueName};
use bookingq_proto::error::ApiError;
use bookingq_proto::v1;
use bookingq_worker::service::parse::{FollowFrom, Parser};
use prost::Message;
use tonic::Status;
use tonic_types::StatusExt as _;

/// The header size that every HTTP/2 peer accepts.
const HEADER: usize = 8 * 1024;

/// Parses a message of the worker's service; the first byte selects its type.
///
/// # Panics
/// When a parsed message differs from the one sent, or an error has no reason and field.
pub fn enqueue(data: &[u8]) -> bool {
    let (Some((which, message)), Ok(queue)) = (data.split_first(), QueueName::new("concert"))
    else {
        return false;
    };
    let parser = Parser::new(queue);
    let outcome = match which % 6 {
        0 => decoded(message).map(|request| one(&parser, &request)),
        1 => decoded(message).map(|batch: v1::EnqueueBatchRequest| {
            Parser::check_batch(batch.requests.len())?;
            assert!(batch.requests.len() <= MAX_ENQUEUE_BATCH);
            batch.requests.iter().try_for_each(|request| one(&parser, request))
        }),
        2 => decoded(message).map(|request: v1::CancelRequest| {
            let cancel = parser.cancel(&request)?;
            assert_eq!(cancel.client.as_str(), request.client_id);
            Ok(())
        }),
        3 => decoded(message).map(|request: v1::ConfirmPaymentRequest| {
            let confirm = parser.confirm(&request)?;
            assert_eq!(confirm.payment.as_str(), request.payment_id);
            Ok(())
        }),
        4 => decoded(message).map(|request: v1::GetStatusBatchRequest| {
            let clients = parser.clients(&request)?;
            assert!(clients.iter().map(ClientId::as_str).eq(&request.client_ids));
            assert!((1..=MAX_STATUS_BATCH).contains(&clients.len()));
            Ok(())
        }),
        _ => decoded(message).map(|request: v1::FollowQueueRequest| {
            let (epoch, sequence) = match parser.follow(&request)? {
                FollowFrom::Now => (String::new(), EventSeq::START),
                FollowFrom::After { epoch, sequence } => (epoch, sequence),
            };
            let asked = EventSeq { ms: request.after_ms, number: request.after_number };
            assert_eq!((epoch, sequence), (request.epoch, asked));
            Ok(())
        }),
    };
    match outcome {
        Some(Err(refused)) => {
            check_error(refused);
            false
        }
        parsed => parsed.is_some(),
    }
}

/// Decodes a message; tonic refuses bytes that are none.
fn decoded<M: Message + Default>(message: &[u8]) -> Option<M> {
    M::decode(message).ok()
}

fn one(parser: &Parser, request: &v1::EnqueueRequest) -> Result<(), ApiError> {
    let parsed = parser.enqueue(request, None)?;
    assert_eq!(parsed.client.as_str(), request.client_id);
    assert_eq!(parsed.request.as_str(), request.request_id);
    assert_eq!(
        (&*parsed.details.item, &*parsed.details.payload),
        (&*request.item, &*request.payload)
    );
    assert!(parsed.details.payload.len() <= MAX_PAYLOAD_BYTES);
    assert!(!parsed.details.item.contains('\n'), "the item is one line of the text in Redis");
    Ok(())
}

/// Checks that an error has a reason of the closed set and the name of a wrong field, and that it
/// is short enough for every client.
fn check_error(refused: ApiError) {
    let invalid = matches!(refused, ApiError::Invalid(_));
    let status = Status::from(refused);
    assert!(status.get_details_error_info().is_some(), "no reason: {status:?}");
    if invalid {
        let fields = status
            .get_details_bad_request()
            .map(|request| request.field_violations)
            .unwrap_or_default();
        assert!(fields.iter().any(|field| !field.field.is_empty()), "no field: {status:?}");
    }
    assert!(status.message().len() + status.details().len() < HEADER, "too long: {status:?}");
}

//! The closed set of reasons of problems, each with its status.

use axum::http::StatusCode;
use bookingq_proto::v1::ErrorReason;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was refused. The set is closed: this version of the API has no other reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[schema(as = Reason)]
pub enum ProblemReason {
    /// A field is invalid: `field`, `value` and `allowed` say which.
    InvalidArgument,
    /// This gateway serves no such queue.
    QueueNotFound,
    /// The queue accepts no new bookings.
    QueueClosed,
    /// The client has no booking here, or its retention has ended.
    BookingNotFound,
    /// The deadline has passed.
    HoldExpired,
    /// The booking is decided; `state` is its state.
    AlreadyFinal,
    /// The booking has no hold yet; `state` is its state.
    NotReserved,
    /// Too many requests are in progress.
    Overloaded,
    /// The outcome is unknown: repeat the request unchanged, with the same Idempotency-Key.
    StoreUnavailable,
    /// No worker answers: repeat the request unchanged, with the same Idempotency-Key.
    UpstreamUnavailable,
    /// The request names no place: neither a cookie nor a bearer token.
    PlaceRequired,
    /// The place token is not valid here.
    PlaceInvalid,
    /// The caller of the backend port is not known.
    BackendUnauthorized,
    /// Pages of that origin may not do this.
    OriginRefused,
    /// Too many requests from this address: solve the challenge, and send it along.
    ChallengeRequired,
    /// Far too many requests from this address.
    TooManyRequests,
    /// This gateway has too many connections; another one may have room.
    TooManyConnections,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body is larger than 8 KiB.
    ContentTooLarge,
    /// The body must be application/json.
    UnsupportedMediaType,
    /// This path speaks WebSocket only.
    UpgradeRequired,
    /// A defect of the gateway.
    Internal,
}

impl ProblemReason {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::InvalidArgument,
        Self::QueueNotFound,
        Self::QueueClosed,
        Self::BookingNotFound,
        Self::HoldExpired,
        Self::AlreadyFinal,
        Self::NotReserved,
        Self::Overloaded,
        Self::StoreUnavailable,
        Self::UpstreamUnavailable,
        Self::PlaceRequired,
        Self::PlaceInvalid,
        Self::BackendUnauthorized,
        Self::OriginRefused,
        Self::ChallengeRequired,
        Self::TooManyRequests,
        Self::TooManyConnections,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::ContentTooLarge,
        Self::UnsupportedMediaType,
        Self::UpgradeRequired,
        Self::Internal,
    ];

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
            Self::QueueNotFound | Self::BookingNotFound | Self::NotFound => StatusCode::NOT_FOUND,
            Self::QueueClosed | Self::AlreadyFinal | Self::NotReserved => StatusCode::CONFLICT,
            Self::HoldExpired => StatusCode::GONE,
            Self::Overloaded
            | Self::StoreUnavailable
            | Self::UpstreamUnavailable
            | Self::TooManyConnections => StatusCode::SERVICE_UNAVAILABLE,
            Self::PlaceRequired | Self::PlaceInvalid | Self::BackendUnauthorized => {
                StatusCode::UNAUTHORIZED
            }
            Self::OriginRefused => StatusCode::FORBIDDEN,
            Self::ChallengeRequired | Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same sentence for each problem of this kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidArgument => "A field is invalid",
            Self::QueueNotFound => "There is no such queue",
            Self::QueueClosed => "The queue is closed",
            Self::BookingNotFound => "There is no such booking",
            Self::HoldExpired => "The time to pay is over",
            Self::AlreadyFinal => "The booking is decided",
            Self::NotReserved => "Nothing is reserved yet",
            Self::Overloaded => "Too many requests are in progress",
            Self::StoreUnavailable => "The outcome is unknown",
            Self::UpstreamUnavailable => "The queue does not answer",
            Self::PlaceRequired => "A place is required",
            Self::PlaceInvalid => "The place is not valid",
            Self::BackendUnauthorized => "The caller is not known",
            Self::OriginRefused => "The origin is not allowed",
            Self::ChallengeRequired => "A challenge must be solved first",
            Self::TooManyRequests => "Too many requests",
            Self::TooManyConnections => "Too many connections",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::ContentTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be JSON",
            Self::UpgradeRequired => "A WebSocket is required",
            Self::Internal => "Internal error",
        }
    }

    /// `QUEUE_CLOSED` and so on.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::QueueNotFound => "QUEUE_NOT_FOUND",
            Self::QueueClosed => "QUEUE_CLOSED",
            Self::BookingNotFound => "BOOKING_NOT_FOUND",
            Self::HoldExpired => "HOLD_EXPIRED",
            Self::AlreadyFinal => "ALREADY_FINAL",
            Self::NotReserved => "NOT_RESERVED",
            Self::Overloaded => "OVERLOADED",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::UpstreamUnavailable => "UPSTREAM_UNAVAILABLE",
            Self::PlaceRequired => "PLACE_REQUIRED",
            Self::PlaceInvalid => "PLACE_INVALID",
            Self::BackendUnauthorized => "BACKEND_UNAUTHORIZED",
            Self::OriginRefused => "ORIGIN_REFUSED",
            Self::ChallengeRequired => "CHALLENGE_REQUIRED",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::TooManyConnections => "TOO_MANY_CONNECTIONS",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::ContentTooLarge => "CONTENT_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::UpgradeRequired => "UPGRADE_REQUIRED",
            Self::Internal => "INTERNAL",
        }
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(self) -> bool {
        matches!(self.status(), StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
    }
}

/// The reason of the gateway for each reason of a worker.
impl From<ErrorReason> for ProblemReason {
    fn from(reason: ErrorReason) -> Self {
        match reason {
            ErrorReason::Unspecified => Self::UpstreamUnavailable,
            ErrorReason::QueueNotFound => Self::QueueNotFound,
            ErrorReason::QueueClosed => Self::QueueClosed,
            ErrorReason::BookingNotFound => Self::BookingNotFound,
            ErrorReason::HoldExpired => Self::HoldExpired,
            ErrorReason::AlreadyFinal => Self::AlreadyFinal,
            ErrorReason::InvalidArgument => Self::InvalidArgument,
            ErrorReason::Overloaded => Self::Overloaded,
            ErrorReason::StoreUnavailable => Self::StoreUnavailable,
            ErrorReason::NotReserved => Self::NotReserved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_worker_has_the_same_reason_here() {
        let all = (0..64).filter_map(|number| ErrorReason::try_from(number).ok());
        let mut count = 0;
        for reason in all.filter(|&reason| reason != ErrorReason::Unspecified) {
            assert_eq!(
                ProblemReason::from(reason).as_str(),
                bookingq_proto::error::reason_word(reason)
            );
            count += 1;
        }
        assert_eq!(count, 9, "this test sees every reason");
    }

    #[test]
    fn every_reason_is_serialized_by_its_word_and_has_an_error_status() {
        for reason in ProblemReason::ALL {
            let json = serde_json::to_value(reason).unwrap();
            assert_eq!(json, reason.as_str());
            assert!(reason.status().is_client_error() || reason.status().is_server_error());
            assert!(!reason.title().is_empty());
        }
    }
}

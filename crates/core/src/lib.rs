//! What bookingq is about, without any I/O: the words, the rules and the arithmetic that all other
//! crates share.
//!
//! ```text
//!   ids, place, details ──> booking (state machine) ──> event (what the outbox carries)
//!   time ─────────────────┘                        │
//!                                                  v
//!   autoscale (how many workers)      line (positions followed from events), pace (throughput, ETA)
//!   backoff, retry (when to try again)     refusal (the closed set of reasons)
//! ```
//!
//! Nothing here knows a network. Every rule gets the time and its random numbers as arguments; only
//! `retry`, which decides nothing about a booking, waits by itself.

pub mod admission;
pub mod autoscale;
pub mod backoff;
pub mod booking;
pub mod defaults;
pub mod details;
pub mod event;
pub mod ids;
pub mod limits;
pub mod line;
pub mod pace;
pub mod place;
pub mod refusal;
pub mod retry;
pub mod time;

pub use admission::Admission;
pub use booking::{Booking, BookingState, Outcome};
pub use details::{Details, Quantity};
pub use event::{Event, EventSeq};
pub use ids::{
    BookingId, ClientId, Fence, Invalid, PaymentId, QueueName, RequestId, ReservationId,
};
pub use place::{Lane, Place, QueueNumber};
pub use refusal::Refusal;
pub use time::Timestamp;

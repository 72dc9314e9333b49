//! What bookingq is about, without any I/O: the words, the rules and the arithmetic that all other
//! crates share.
//!
//! ```text
//!   ids, details ──> booking (state machine) ──> event (what the outbox carries)
//!   time ─────────────────┘                        │
//!                                                  v
//!   autoscale (how many workers)      line (positions followed from events), pace (throughput, ETA)
//!   backoff   (when to try again)     refusal (the closed set of reasons)
//! ```
//!
//! Nothing here reads a clock, draws a random number or knows a network: time and chance come in as
//! arguments.

pub mod admission;
pub mod autoscale;
pub mod backoff;
pub mod booking;
pub mod details;
pub mod event;
pub mod ids;
pub mod limits;
pub mod line;
pub mod pace;
pub mod refusal;
pub mod time;

pub use admission::Admission;
pub use booking::{Booking, BookingState, Outcome};
pub use details::{Details, Quantity};
pub use event::{Event, EventSeq};
pub use ids::{
    BookingId, ClientId, Fence, Invalid, PaymentId, QueueName, RequestId, ReservationId, Ticket,
};
pub use refusal::Refusal;
pub use time::Timestamp;

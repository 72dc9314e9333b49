//! The terms, the rules and the arithmetic that all other crates share, without any I/O.
//!
//! ```text
//!   ids, place, details ──> booking (state machine) ──> event (an outbox event)
//!   time ─────────────────┘                        │
//!                                                  v
//!   autoscale (how many workers)      line (positions from events), pace (throughput), eta (waits)
//!   workforce (what is shown of it)   sale (opening, outflow, sold out)
//!   backoff, retry (when to try again)     refusal (the closed set of reasons)     ip_network
//! ```
//!
//! Rules take the time and random numbers as arguments. Only `retry`, which decides nothing about a
//! booking, waits by itself.

pub mod admission;
pub mod autoscale;
pub mod backoff;
pub mod booking;
pub mod defaults;
pub mod details;
pub mod eta;
pub mod event;
pub mod ids;
pub mod ip_network;
pub mod kafka;
pub mod limits;
pub mod line;
pub mod pace;
pub mod place;
pub mod refusal;
pub mod retry;
pub mod sale;
pub mod sasl;
pub mod time;
pub mod workforce;

pub use admission::Admission;
pub use booking::{Booking, BookingState, Outcome};
pub use details::{Details, Quantity};
pub use event::{Event, EventSeq, ItemChange, ItemEvent, OutboxEvent, Parked};
pub use ids::{
    BookingId, ClientId, Fence, Invalid, PaymentId, QueueName, RequestId, ReservationId,
};
pub use place::{Lane, Place, QueueNumber};
pub use refusal::Refusal;
pub use sale::{Generation, ItemState, Outflow, SaleRules, SoldOutRule, SoldOutRules};
pub use sasl::SaslMechanism;
pub use time::Timestamp;
pub use workforce::{Workforce, WorkforceChange};

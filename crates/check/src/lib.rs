//! Verifies a queue: the answers to its clients, its audit log, its store, and the ledger of the
//! Booking Service.
//!
//! ```text
//!   calls of the clients ──> recorder ──> Answers   (calls against calls, as they end)
//!                                │           '─ watched: what streams and WebSockets showed last
//!                                │ '──> a history file ──> saved: read again later
//!   outbox ── audit ──> AuditLog  (transitions, fences, deadlines, the store's clock)
//!                         |─ waiting: the order, and who could have been served
//!                         |─ closings: which refusals closed items further
//!                         '─ pace:    opening time and outflow
//!   Answers + AuditLog + Evidence (store, ledger)
//!       ── verify ──> Verification {tallies, violations, timings}
//! ```
//!
//! And, apart from these, the conformance of a Realtime Service of others: [`realtime`].
//!
//! Every rule is a [`Violation`] and belongs to one invariant of ARCHITECTURE.md. The checker is a
//! second opinion: it shares no code with the stores but the table of transitions.

pub mod answers;
pub mod audit;
mod closings;
pub mod log;
pub mod logged;
mod pace;
pub mod realtime;
pub mod recorder;
pub mod saved;
pub mod tally;
pub mod verify;
pub mod violation;
mod waiting;
mod watched;

pub use crate::answers::Answers;
pub use crate::audit::{Audit, AuditError};
pub use crate::log::{AuditLog, AuditTerms};
pub use crate::recorder::CallRecorder;
pub use crate::tally::Tallies;
pub use crate::verify::{Evidence, Moment, Verification};
pub use crate::violation::{InvariantResult, Violation, Violations};

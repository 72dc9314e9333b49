//! The processing loop: claims tasks, executes them at the Booking Service, settles them.
//!
//! ```text
//!   claims ──> executor ──> downstream::booking ──> classify ──> store.settle
//!                 |  held: every task in hand
//!                 '──> renewals (leases, at a third of their length)
//! ```

pub mod claims;
pub mod classify;
pub mod executor;
pub mod renewals;

pub use claims::{ClaimLoop, Wake};
pub use executor::Executor;

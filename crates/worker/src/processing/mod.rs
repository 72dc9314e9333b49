//! The processing loop: claims tasks, executes them at the Booking Service, settles them.
//!
//! ```text
//!   claims ──> executor ──> downstream::booking ──> classify ──> store.settle
//!                 |  held: every task in hand
//!   wake            '──> renewals (leases, at a third of their length)
//! ```

pub mod claims;
pub mod classify;
pub mod executor;
pub mod renewals;
pub mod wake;

pub use claims::ClaimLoop;
pub use executor::Executor;
pub use wake::Wake;

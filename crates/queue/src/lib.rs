//! The pure queue engine: commands and a time in, outcomes and events out.
//!
//! ```text
//!   request (Enqueue, Confirm, Cancel)    task (Claim, Lease, Settlement)    the commands
//!        |                                     |
//!        v                                     v
//!   command  one of them as a value, and the one way in for a store
//!        |
//!   enqueue  confirm  cancel    claim  settle  sweep  notifier   one file for each transition
//!        |   reacquire             |   sold_out                   and what some of them lead to
//!        '-----------------------.---------------------'
//!                              queue    what can be read of it
//!                              bookings the newest of each client, and ended ones before
//!                              index    the line, leases, holds, counters
//!                              items    what is sold out, who waits for it, what may come back
//!                              outbox   the newest events
//!                              wire     commands and the whole state as bytes; the digest
//! ```
//!
//! The engine has no lock, no clock and no randomness: the same commands at the same times give the
//! same outcomes and the same events. So it serves behind a mutex (the memory store of
//! `bookingq-store`), as the reference model that another store is tested against, and as the state
//! machine of a replicated log. The digest of the state is kept up to date with each change where
//! that is asked for, as by such a state machine, and otherwise computed of everything.
//!
//! A store changes a queue only by [`Queue::apply`], which keeps its time from going back; a read
//! takes `&self`, changes nothing and forgets nothing. Simulations call the methods behind the
//! commands directly, and then [`Queue::forget`] before each.

mod bookings;
pub mod bounds;
mod cancel;
mod claim;
mod command;
mod confirm;
mod enqueue;
mod index;
mod item;
mod items;
mod notifier;
mod outbox;
mod queue;
mod reacquire;
mod record;
mod request;
mod settle;
mod snapshot;
mod sold_out;
mod sweep;
mod task;
pub mod wire;

pub use crate::command::{QueueAnswer, QueueCommand, QueueLimits};
pub use crate::notifier::NotifierLease;
pub use crate::outbox::Events;
pub use crate::queue::Queue;
pub use crate::request::{
    Cancel, Confirm, Confirmed, Enqueue, Enqueued, reacquired_for, reacquiring,
};
pub use crate::snapshot::{Snapshot, Totals};
pub use crate::sweep::Swept;
pub use crate::task::{Claim, Lease, Scope, Settled, Settlement, Task, TaskKind, TaskOutcome, Try};
pub use crate::wire::{StateDigest, Unreadable};

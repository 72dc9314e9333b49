//! The Redis that is run for a queue.

mod restore;
pub mod secret;
pub mod service;
pub mod stateful_set;

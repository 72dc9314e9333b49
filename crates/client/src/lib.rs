//! Calls workers: endpoints, channel pool, and the one rule of what may be retried.
//!
//! ```text
//!   WorkerEndpoints ── DNS, repeated ──> addresses ──> ChannelPool <── WorkerClient::call
//!                                                                  <── StatusWatch::next
//!                                                                  <── QueueFollow::next
//!                                        retry::decide: another worker, later, or never
//! ```
//!
//! The command line, the crowd and the gateway call workers through this crate.

mod call;
mod channels;
mod endpoints;
mod queue_follow;
pub mod retry;
mod watch;

pub use self::call::{CallEvent, CallPolicy, WorkerCall, WorkerCallError, WorkerClient};
pub use self::channels::{ChannelConfig, ChannelPool};
pub use self::endpoints::{EndpointsError, WorkerEndpoints};
pub use self::queue_follow::{QueueFollow, QueueFollowEvent};
pub use self::watch::{StatusUpdate, StatusWatch};

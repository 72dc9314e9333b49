//! The gateway: HTTP, WebSockets, server-sent events and the waiting-room page for one or many
//! queues. It holds no truth: killed, it loses nothing.
//!
//! ```text
//!   worker: FollowQueue ──> upstream ──> feed ─┬─ view (the line: one frame for each segment)
//!   worker: notifier ─────> realtime ──────^   '─ hub  (news, by client) ──> subscriber
//!                                                                                │ wakes
//!   browser <── socket | events <── session (what is sent, and when) <───────────┤
//!                                      │ hello                   timers ─────────┘
//!                                      '── snapshots ──> worker: GetStatusBatch
//! ```

pub mod close;
pub mod events;
pub mod fanout;
pub mod feed;
pub mod frames;
mod hello;
mod hub;
pub mod metrics;
pub mod place_json;
pub mod realtime;
pub mod segments;
mod session;
mod shown;
pub mod snapshots;
pub mod socket;
mod subscriber;
mod timers;
pub mod upstream;
pub mod view;
pub mod workers;

//! The gateway: HTTP, WebSockets, server-sent events and the waiting-room page for one or many
//! queues. It stores nothing: killed, it loses nothing.
//!
//! ```text
//!   worker: FollowQueue ──> upstream ──> feed ─┬─ view (the line: one frame for each segment)
//!   worker: notifier ─────> realtime ──────^   '─ hub  (news, by client) ──> subscriber
//!                                                                                │ wakes
//!   browser <── socket | events <── session (what is sent, and when) <───────────┤
//!      |                               │ hello                   timers ─────────┘
//!      |                               '── snapshots ──> worker: GetStatusBatch
//!      '── listener ─ access_log ─ guard ─ router ──┬─ places ─ joins ──> worker: EnqueueBatch
//!                                                   |─ page (the waiting room)
//!                                                   '─ queue ──> worker: GetQueue
//!   operators <── admin (their page, on the admin port) ─ metrics, queue_reader
//!   seller's backend ── listener ─ backend ──> worker: ConfirmPayment
//! ```

pub mod access_log;
mod activity;
mod admin;
pub mod auth;
pub mod backend;
pub mod body;
pub mod challenges;
pub mod close;
pub mod config;
mod connection;
mod cookie;
mod counted;
pub mod events;
mod fallback;
pub mod fanout;
pub mod feed;
pub mod frames;
mod gateway;
mod guard;
mod hello;
pub mod http_metrics;
mod hub;
pub mod idempotency;
pub mod join_request;
pub mod joins;
pub mod keys;
mod lasting;
mod lent;
pub mod limits;
pub mod listener;
mod load;
pub mod metrics;
pub mod openapi;
pub mod origin;
pub mod page;
mod page_routes;
pub mod passes;
pub mod place_json;
pub mod places;
pub mod problem;
pub mod queue;
pub mod queue_reader;
pub mod realtime;
mod reason;
pub mod router;
pub mod segments;
mod session;
mod shown;
pub mod snapshots;
pub mod socket;
pub mod state;
pub mod streams;
mod subscriber;
mod timers;
pub mod trace_header;
pub mod upstream;
pub mod view;
pub mod workers;

pub use config::GatewayConfig;
pub use gateway::{Gateway, GatewayError, GatewayHandle};
pub use load::ConfigError;
pub use reason::ProblemReason;

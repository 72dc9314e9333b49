//! The gateway: HTTP, WebSockets, server-sent events and the waiting-room page for one or many
//! queues.

mod activity;
pub mod config;
pub mod listener;
pub mod origin;
pub mod place_json;
pub mod problem;

//! What a Gateway reads and follows: GetStatusBatch and FollowQueue, on both stores.

#![allow(missing_docs, clippy::unwrap_used)]

mod follow_queue;
mod publish;
mod queue_follow;
mod status_batch;
#[path = "../support/mod.rs"]
mod support;
mod world;

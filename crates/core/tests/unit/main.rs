//! The rules of the core, one file for each group.
#![allow(clippy::unwrap_used)]

mod autoscale;
mod booking;
mod driver;
mod eta;
mod positions;
mod retry;
mod sockets;

//! Histories made by hand: clean ones, and for each rule ways to break it that must be found.

#![allow(clippy::unwrap_used)]

mod calls;
mod log;
mod sale;
mod saved;
mod sockets;
mod world;

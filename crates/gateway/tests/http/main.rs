//! The HTTP side of a gateway, with a real worker on the memory store behind it.

#![allow(missing_docs, clippy::unwrap_used)]

mod admin;
mod asleep;
mod backend;
mod client;
mod document;
mod drain;
mod joins;
mod lasting;
mod life;
mod limits;
mod problems;
mod protocols;
mod world;

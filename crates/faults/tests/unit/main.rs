//! The parts of a fault run, each alone.

#![allow(clippy::unwrap_used)]

mod plan;
mod proxy;

//! The parts of the simulated services, each alone and without a network.

#![allow(clippy::unwrap_used)]

mod deliveries;
mod fault_injector;
mod inspect;
mod ledger;
mod spec;

//! The operator against a real API server, etcd and controllers; nothing is imitated but the
//! kubelet, which is not there.
//!
//! ```text
//!   life       create, change, refuse, delete        faults    death after each write, foreign hands, missing Secrets
//!   scaling    the line moves the number of workers  election  two operators, one leader
//! ```
#![allow(clippy::unwrap_used)]

mod budget;
mod cluster;
mod election;
mod faults;
mod life;
mod scaling;
mod testbed;

//! Trials of the operator as its users run it: the real process against a real etcd, API server
//! and controllers.
//!
//! ```text
//!   process (control plane, operators)   audit (the API server's log of requests)   queues
//!     ^
//!     '── scale (and rest)   mutants   rivals   step   outage: one question each, one file each
//! ```

pub mod audit;
pub mod mutants;
pub mod outage;
pub mod process;
pub mod queues;
pub mod rivals;
pub mod scale;
pub mod step;

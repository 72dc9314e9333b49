//! Tries the operator as its users run it: the real process against a real etcd, API server and
//! controllers.
//!
//! ```text
//!   control_plane (etcd, API server, controllers)   process (an operator, or a Redis)   audit (who wrote what, when)
//!     ^ also the ground of crates/operator/tests
//!     |
//!     '── scale (and rest)   mutants   rivals   step: one question each, one file each
//! ```

pub mod audit;
pub mod control_plane;
pub mod mutants;
pub mod process;
pub mod queues;
pub mod rivals;
pub mod scale;
pub mod step;
pub mod wait;

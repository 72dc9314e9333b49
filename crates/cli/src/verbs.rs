//! One file for each subcommand.

pub mod admission;
pub mod backup;
pub mod cancel;
pub mod check;
pub mod crd;
pub mod crowd;
pub mod enqueue;
pub mod gateway;
pub mod keys;
pub mod operator;
pub mod outflow;
pub mod pay;
pub mod probe;
pub mod queue;
pub mod restocked;
pub mod simulate;
pub mod status;
pub mod sweep;
pub mod top;
pub mod up;
pub mod watch;
pub mod worker;

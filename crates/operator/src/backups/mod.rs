//! The controller of `BookingQueueBackup`, beside that of the queues.
//!
//! ```text
//!   reconcile:  obstacle (what is in the way) ─> build (pure) ─> create or apply ─> status (pure)
//!   watch:      backups, their Jobs, CronJobs and Pods, and the queues they are of
//! ```
//!
//! The Jobs run `bookingq backup create`; its report, the termination message of the Pod, is what
//! the status shows. A Job is created once and never changed. What belongs to a backup is owned by
//! it, and goes with it.

pub mod build;
pub mod controller;
pub mod key;
pub mod obstacle;
mod reconcile;
pub mod records;
pub mod status;
pub mod watch;

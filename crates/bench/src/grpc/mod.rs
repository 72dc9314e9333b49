//! A worker driven over gRPC, and a bare server with the same messages as its yardstick.

mod bare;
mod load;
mod worker;

pub use bare::BareServer;
pub use load::{Channels, Client, Load, plainly};
pub use worker::WorkerUnderTest;

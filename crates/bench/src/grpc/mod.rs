//! A worker driven over gRPC, and a bare server with the same messages as its yardstick.

mod bare;
mod load;
mod worker;

pub use bare::BareServer;
pub use load::{GrpcLoad, LoadChannels, LoadClient, short_error};
pub use worker::WorkerUnderTest;

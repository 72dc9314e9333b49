//! What `bookingq` does: parses arguments and wires the other crates together; `app` says which
//! subcommand is which file. A library only so that the fuzz targets can give its command line what
//! nobody types.

mod app;
mod client;
mod failure;
mod flags;
mod verbs;

pub use app::{Cli, main};

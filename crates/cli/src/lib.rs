//! The `bookingq` command line: parses arguments and connects the other crates. `app` lists the
//! subcommands. A library so that the fuzz targets can call the parser.

mod app;
mod client;
mod failure;
mod flags;
mod kubectl;
mod verbs;

pub use app::{Cli, main};

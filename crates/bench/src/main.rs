//! `bookingq-bench`: measures, and asserts nothing. Run by `cargo xtask bench`.
//!
//! ```text
//!   engine ──┬─ life    a booking's whole life through a store        ── redis_server, MemoryStore
//!            ├─ plain   Redis commands without a script: a yardstick  ── redis_server
//!            └─ grpc    a worker, and a bare server: a yardstick      ── load
//!   growth     calls and memory when few wait, and when many do     ── redis_server
//!   figures    medians of several runs, as a table and as JSON         machine, pin   where it ran
//! ```

mod engine;
mod figures;
mod growth;
mod grpc;
mod life;
mod machine;
mod pin;
mod plain;
mod redis_server;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures bookingq on this computer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The store and the worker, beside a bare gRPC server and plain Redis commands
    Engine(engine::Args),
    /// What calls and memory cost when few wait, and when many do
    Growth(growth::Args),
}

fn main() -> ExitCode {
    let measured = match Cli::parse().what {
        What::Engine(args) => engine::run(&args),
        What::Growth(args) => growth::run(&args),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

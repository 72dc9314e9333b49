//! `bookingq-bench`: measures, and asserts nothing about speed. Run by `cargo xtask bench`.
//!
//! ```text
//!   engine ──┬─ life    a booking's whole life through a store        ── redis_server, StoreConfig::Memory
//!            ├─ plain   Redis commands without a script: a yardstick  ── redis_server
//!            └─ grpc    a worker, and a bare server: a yardstick      ── load
//!   instructions   the same life, counted and not timed               ── redis_server
//!   growth ─┬─ fill    calls and memory when few wait, and when many do ── redis_server
//!   sweep  ─'          holds that are overdue, many each second         ── redis_server
//!   watch      clients that follow their bookings while the line moves ── grpc
//!   peers  ──┬─ drive   our driver                                     ── redis_server
//!            '─ tests/peers   the drivers of asynq, BullMQ and apalis-redis
//!   figures    medians of several runs, as a table and as JSON         machine, pin   where it ran
//!   report     figures to a file                                       compare        with those of an earlier run
//! ```

mod compare;
mod drive;
mod engine;
mod figures;
mod fill;
mod growth;
mod grpc;
mod instructions;
mod life;
mod machine;
mod peers;
mod pin;
mod plain;
mod redis_server;
mod report;
mod sweep;
mod watch;

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
    /// Instructions of Redis for a booking's life: steadier than times; needs valgrind
    Instructions(instructions::Args),
    /// What calls and memory cost when few wait, and when many do
    Growth(growth::Args),
    /// How late holds are given back when many are overdue each second
    Sweep(sweep::Args),
    /// What clients cost that watch their place, and how old the positions are that they see
    Watch(watch::Args),
    /// The same work on the same Redis by asynq, BullMQ, apalis-redis and bookingq
    Peers(peers::Args),
    /// Whether something became slower, from figures that --out wrote before and after
    Compare(compare::Args),
    /// Our driver, as `peers` runs it
    #[command(hide = true)]
    Drive(drive::Args),
    /// A worker, as `watch` runs it
    #[command(hide = true)]
    Serve(watch::serve::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().what {
        What::Engine(args) => engine::run(&args),
        What::Instructions(args) => instructions::run(&args),
        What::Growth(args) => growth::run(&args),
        What::Sweep(args) => sweep::run(&args),
        What::Peers(args) => peers::run(&args),
        What::Compare(args) => compare::run(&args),
        What::Watch(args) => watch::run(&args),
        What::Drive(args) => drive::run(&args),
        What::Serve(args) => watch::serve::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! Measures bookingq on this computer. It asserts nothing about speed.
//!
//! ```text
//!   engine ──┬─ bookings  a booking's whole life through a store
//!            ├─ plain     Redis commands without a script: a yardstick
//!            └─ grpc      a worker, and a bare server: a yardstick
//!   kafka                 engine and growth of a store on Kafka
//!   instructions          the same life, counted instead of timed
//!   eta                   promised waits beside true ones, in simulated sales
//!   growth                calls and memory with a short line and with a long one
//!   replicas              what it costs that replicas have a write first
//!   sold_out              an item that sells out before the others, and what comes back of it
//!   sweep                 many overdue holds each second
//!   gateway               WebSockets of a full line
//!   watch                 clients that follow their bookings while the line moves
//!   peers  ──┬─ drive     our driver
//!            '─ tests/peers   the drivers of asynq, BullMQ and apalis-redis
//!
//!   session ──> figures (tables and JSON)   compare (with the report of an earlier run)
//!   machine (cores)   redis_server   child (a driver or worker as a process of its own)
//! ```

pub mod bookings;
mod child;
pub mod compare;
pub mod drive;
mod engine;
pub mod eta;
pub mod figures;
mod gateway;
mod growth;
mod grpc;
mod instructions;
mod kafka;
mod machine;
pub mod peers;
mod plain;
pub mod redis_server;
mod replicas;
pub mod sections;
mod session;
mod sold_out;
mod sweep;
pub mod watch;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures bookingq on this computer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: BenchVerb,
}

#[derive(Debug, Subcommand)]
enum BenchVerb {
    /// The store and the worker, beside a bare gRPC server and plain Redis commands
    Engine(engine::Args),
    /// Instructions of Redis for a booking's life: steadier than times; needs valgrind
    Instructions(instructions::Args),
    /// Promised waits beside true ones, in simulated sales
    Eta(eta::Args),
    /// Cost of calls and memory with a short line and with a long one
    Growth(growth::Args),
    /// Delay until the sweeper releases holds, with many overdue each second
    Sweep(sweep::Args),
    /// Cost of writes that replicas must have before they are acknowledged
    Replicas(replicas::Args),
    /// Delay of the others when an item sells out, and of what comes back
    SoldOut(sold_out::Args),
    /// Cost of clients that watch their place, and the age of the positions that they see
    Watch(watch::Args),
    /// Memory and CPU of WebSockets, ticks, news, storms and drains, beside a bare axum server
    Gateway(gateway::Args),
    /// The same work on the same Redis by asynq, BullMQ, apalis-redis and bookingq
    Peers(peers::Args),
    /// Report what became slower, from figures that --out wrote before and after
    Compare(compare::Args),
    /// Our driver, as `peers` runs it
    #[command(hide = true)]
    Drive(drive::Args),
    /// A worker, as `watch` runs it
    #[command(hide = true)]
    Serve(watch::serve::Args),
    /// A gateway, as `gateway` runs it
    #[command(hide = true)]
    GatewayServe(gateway::serve::Args),
    /// Clients, as `gateway` runs them
    #[command(hide = true)]
    GatewayClients(gateway::clients::Args),
}

impl Cli {
    /// Runs the verb.
    pub fn run(&self) -> Result<()> {
        match &self.verb {
            BenchVerb::Engine(args) => engine::run(args),
            BenchVerb::Instructions(args) => instructions::run(args),
            BenchVerb::Eta(args) => eta::run(args),
            BenchVerb::Growth(args) => growth::run(args),
            BenchVerb::Sweep(args) => sweep::run(args),
            BenchVerb::Replicas(args) => replicas::run(args),
            BenchVerb::SoldOut(args) => sold_out::run(args),
            BenchVerb::Peers(args) => peers::run(args),
            BenchVerb::Compare(args) => compare::run(args),
            BenchVerb::Watch(args) => watch::run(args),
            BenchVerb::Drive(args) => drive::run(args),
            BenchVerb::Serve(args) => watch::serve::run(args),
            BenchVerb::Gateway(args) => gateway::run(args),
            BenchVerb::GatewayServe(args) => gateway::serve::run(args),
            BenchVerb::GatewayClients(args) => gateway::clients::run(args),
        }
    }
}

//! `bookingq`: one binary, one subcommand for each role.
//!
//! Only parses arguments and wires the other crates together; `app` says which subcommand is which file.

mod app;
mod client;
mod failure;
mod flags;
mod signals;
mod telemetry;
mod verbs;

fn main() -> std::process::ExitCode {
    app::main()
}

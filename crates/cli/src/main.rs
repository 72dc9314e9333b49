//! `bookingq`: one binary, one subcommand for each role.

/// Gives the memory of many connections back after they have ended.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    bookingq_cli::main()
}

//! `bookingq`: one binary, one subcommand for each role.

fn main() -> std::process::ExitCode {
    bookingq_cli::main()
}

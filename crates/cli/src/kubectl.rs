//! `kubectl bookingqueue`: this program, when it is called by the name under which kubectl looks
//! for it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use bookingq_plugin::{PROGRAM, PluginCli};
use clap::Parser as _;

use crate::failure::Failure;

/// Whether a program of this name is to be the plugin: `kubectl-bookingqueue`, in any folder, and
/// with the ending of the system.
pub fn is_meant(program: &OsStr) -> bool {
    Path::new(program).file_stem() == Some(OsStr::new(PROGRAM))
}

/// Parses the arguments, runs the command and returns its exit code.
pub fn main() -> ExitCode {
    let cli = PluginCli::parse();
    // TLS needs a cryptography provider before the first connection; this fails if there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::from(error).report(),
    };
    match runtime.block_on(cli.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::from(error).report(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_decides() {
        for plugin in
            ["kubectl-bookingqueue", "/usr/bin/kubectl-bookingqueue", "./kubectl-bookingqueue.exe"]
        {
            assert!(is_meant(OsStr::new(plugin)), "{plugin}");
        }
        for other in ["bookingq", "/kubectl-bookingqueue/bookingq", ""] {
            assert!(!is_meant(OsStr::new(other)), "{other}");
        }
    }
}

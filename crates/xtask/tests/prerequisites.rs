//! What a command needs beside Rust.
#![allow(clippy::unwrap_used)]

use xtask::prerequisites::{GO, Install, Tool, provide};

const PRESENT: Tool = Tool { program: "cargo", purpose: "a test", install: GO.install };
const ABSENT: Tool = Tool { program: "no-such-program", ..PRESENT };
const INSTALLABLE: Tool = Tool { install: Install::Anyone("no-such-installer"), ..ABSENT };

#[test]
fn what_the_user_must_install_is_an_error_with_the_command() {
    assert!(provide(&[&PRESENT], []).is_ok());
    assert!(PRESENT.require().is_ok());
    let error = provide(&[&INSTALLABLE, &ABSENT], []).map_err(|error| error.to_string());
    let command = format!("  {}", ABSENT.command());
    assert!(error.is_err_and(|error| error.ends_with(&command) && !error.contains("such")));
    let error = ABSENT.require().map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.contains("https://go.dev/dl/go1.")));
}

#[test]
fn a_tool_that_an_unprivileged_command_installs_is_installed() {
    assert!(INSTALLABLE.report().ends_with("; installed now: no-such-installer"));
    let error = provide(&[&INSTALLABLE], []).map_err(|error| error.to_string());
    assert!(error.is_err_and(|error| error.contains("`no-such-installer`")));
}

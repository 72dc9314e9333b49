//! A command whose program ends when this process ends, however that happens.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// The signal that a process receives when its parent ends without stopping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrphanSignal {
    /// It may finish its work. A process that is stopped by SIGSTOP stays behind.
    Terminate,
    /// It ends at once, even if it is stopped.
    Kill,
}

impl OrphanSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// A command that runs `program` and sends it `signal` when the calling thread ends, even by
/// SIGKILL of this process. Relies on setpriv from util-linux; without it, the program is not tied.
///
/// Linux ties a child to the thread that starts it, so that thread must live as long as the child.
/// setpriv replaces itself by the program, which keeps the process ID.
///
/// # Errors
/// `NotFound` when there is no such program.
pub fn tied(program: &Path, signal: OrphanSignal) -> io::Result<Command> {
    static SETPRIV: LazyLock<bool> = LazyLock::new(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "TERM", "--", "true"]);
        let probe = probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        probe.is_ok_and(|status| status.success())
    });
    // Looked up here, because setpriv starts even when the program is missing.
    let program = find(program)?;
    if !*SETPRIV {
        return Ok(Command::new(program));
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", signal.name(), "--"]).arg(program);
    Ok(command)
}

/// The path of a program: a path as it is, a bare name as the shell finds it.
///
/// # Errors
/// `NotFound` when there is no such program.
pub fn find(program: &Path) -> io::Result<PathBuf> {
    let found = if program.components().count() > 1 {
        program.is_file().then(|| program.to_owned())
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
    };
    let missing = || format!("{} is not installed or not on the PATH", program.display());
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing()))
}

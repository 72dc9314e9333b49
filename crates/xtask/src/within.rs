//! Runs programs with a time limit, and waits for slow conditions.

use std::fmt::Display;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::tree;

/// Between two checks of a condition.
const INTERVAL: Duration = Duration::from_millis(500);
/// The exit status of `timeout` when it stopped the program.
const TIMED_OUT: i32 = 124;

/// Runs the program `words[0]` from the top of the repository and returns its output. An error
/// carries what it wrote to standard error.
pub fn run(words: &[&str], input: Option<&str>, limit: Duration) -> Result<String> {
    let line = words.join(" ");
    let mut command = Command::new("timeout");
    // Ctrl-C reaches the program only in the foreground.
    command.args(["--foreground", "--kill-after=5s", &format!("{}s", limit.as_secs_f64())]);
    command.args(words).current_dir(tree::root());
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("`{line}` could not be started"))?;
    // The input fits into the pipe's buffer, so this does not wait for the program.
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes()).with_context(|| format!("`{line}` refused its input"))?;
    }
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    if output.status.code() == Some(TIMED_OUT) {
        bail!("`{line}` did not end within {} s", limit.as_secs());
    }
    let written = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    bail!("`{line}` failed ({}): {}", output.status, text(written).trim())
}

/// One check of a condition.
pub enum Look<T> {
    /// It holds.
    Done(T),
    /// It does not hold yet: the state that was found instead.
    NotYet(String),
}

/// Checks a condition until it holds. A check that fails counts as "not yet", because a Pod that
/// is being killed does not always answer.
pub fn until<T>(
    what: impl Display,
    limit: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = match look() {
            Ok(Look::Done(found)) => return Ok(found),
            Ok(Look::NotYet(seen)) => seen,
            Err(error) => format!("{error:#}"),
        };
        if Instant::now() >= end {
            bail!("waited {} s for {what}; at last: {seen}", limit.as_secs());
        }
        thread::sleep(INTERVAL);
    }
}

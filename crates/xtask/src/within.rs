//! Runs other programs that must end in time, and waits for things that take theirs.

use std::fmt::Display;
use std::io::{Read, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// Between two looks at a program that runs.
const LOOK: Duration = Duration::from_millis(20);
/// Between two looks at something slow.
const PAUSE: Duration = Duration::from_millis(500);

/// What a program said.
#[derive(Debug)]
pub struct Said {
    status: ExitStatus,
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

impl Said {
    /// Its output, if it ended well; otherwise its complaint.
    pub fn well(self, line: &str) -> Result<String> {
        if self.status.success() {
            return Ok(self.out);
        }
        let complaint = if self.err.trim().is_empty() { &self.out } else { &self.err };
        bail!("`{line}` failed ({}): {}", self.status, complaint.trim())
    }
}

/// Runs a program with `input`, if there is any, and kills it when its time is over.
pub fn run(command: &mut Command, input: Option<&str>, limit: Duration) -> Result<Said> {
    let line = shell::show(command);
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{line}` could not be started"))?;
    let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
    // What is given to a program is smaller than a pipe holds, so this does not wait for the
    // program.
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        pipe.write_all(input.as_bytes())
            .with_context(|| format!("`{line}` did not take its input"))?;
    }
    let status = end(&mut child, limit).with_context(|| format!("`{line}`"))?;
    Ok(Said { status, out: text(out), err: text(err) })
}

fn end(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            bail!("did not end within {} s", limit.as_secs());
        }
        thread::sleep(LOOK);
    }
}

fn read(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut pipe = pipe?;
    Some(thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks ends the text where it is.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    }))
}

fn text(reader: Option<JoinHandle<Vec<u8>>>) -> String {
    let bytes = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What was seen of something that is waited for.
pub enum Look<T> {
    /// It is there.
    Done(T),
    /// Not yet: what is there instead.
    NotYet(String),
}

/// Looks again and again until it is there. A look that fails is one more "not yet": what is being
/// killed, and looked at, does not always answer.
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
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_program_gets_its_input_and_its_output_is_kept() {
        let said = run(&mut Command::new("cat"), Some("hello"), Duration::from_secs(10)).unwrap();
        assert_eq!(said.well("cat").unwrap(), "hello");
    }

    #[test]
    fn a_program_that_fails_is_told_with_its_complaint() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2; exit 3"]);
        let said = run(&mut command, None, Duration::from_secs(10)).unwrap();
        let error = said.well("sh").unwrap_err().to_string();
        assert!(error.contains("3): no such thing"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_killed() {
        let start = Instant::now();
        let error =
            run(Command::new("sleep").arg("60"), None, Duration::from_millis(50)).unwrap_err();
        assert!(format!("{error:#}").contains("`sleep 60`: did not end within 0 s"), "{error:#}");
        assert!(start.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_does_not_come_is_told_with_what_was_there_instead() {
        let look = || Ok(Look::<()>::NotYet("2 of 3".to_owned()));
        let error = until("3 workers", Duration::ZERO, look).unwrap_err().to_string();
        assert_eq!(error, "waited 0 s for 3 workers; at last: 2 of 3");
        let mut looks = 0;
        let found = until("luck", Duration::from_secs(10), || {
            looks += 1;
            anyhow::ensure!(looks > 1, "not this time");
            Ok(Look::Done(looks))
        });
        assert_eq!(found.unwrap(), 2);
    }
}

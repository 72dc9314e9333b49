//! How a command fails: one line that says what is wrong and what is allowed, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// The command failed: exit code 1.
    Failed(anyhow::Error),
    /// A second signal stopped the command: exit code 130, as in shells.
    Interrupted,
    /// The command failed and has printed why: exit code 1.
    Reported,
}

impl Failure {
    /// Wrong usage: `problem` says what is wrong and what is allowed.
    pub fn usage(problem: impl fmt::Display) -> Self {
        Self::Usage(problem.to_string())
    }

    /// Prints `error: …` with its causes, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(problem) => {
                eprintln!("error: {problem}");
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                eprintln!("error: {}", with_causes(error));
                ExitCode::FAILURE
            }
            Self::Interrupted => ExitCode::from(130),
            Self::Reported => ExitCode::FAILURE,
        }
    }
}

/// An error and its causes, but for those that the text so far quotes.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

//! How a command fails: one line that says what was wrong and what is allowed, and an exit code.

use std::fmt;
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// It was asked wrongly: exit code 2.
    Usage(String),
    /// It went wrong: exit code 1.
    Failed(anyhow::Error),
    /// A second signal came before it had left in order: exit code 130, as shells have it.
    Interrupted,
    /// It has told everything itself, and the answer is no: exit code 1.
    Told,
}

impl Failure {
    /// Of usage, with what was wrong and what is allowed.
    pub fn usage(problem: impl fmt::Display) -> Self {
        Self::Usage(problem.to_string())
    }

    /// Prints it as `error: …`, with its causes, and gives the exit code.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(problem) => {
                eprintln!("error: {problem}");
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
            Self::Interrupted => ExitCode::from(130),
            Self::Told => ExitCode::FAILURE,
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

//! The images of the story, and how they get into the cluster.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{shell, tree};

/// As the chart and the sample name it.
const REPOSITORY: &str = "ghcr.io/bookingqueue/bookingq";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What a managed Redis runs, unless it names another one.
const REDIS: &str = "docker.io/library/redis:7.4";

/// The images.
pub struct Images {
    loader: Option<String>,
}

impl Images {
    /// Brought into the cluster by `loader`, if they are not there already.
    pub fn new(loader: Option<String>) -> Self {
        Self { loader }
    }

    /// bookingq, as the chart and the sample name it.
    pub fn bookingq() -> String {
        format!("{REPOSITORY}:{VERSION}")
    }

    /// The same at another tag, to update workers to.
    pub fn next() -> String {
        format!("{REPOSITORY}:{VERSION}-next")
    }

    /// Brings them all; says what it did.
    pub fn load(&self) -> Result<String> {
        let Some(loader) = &self.loader else {
            return Ok("they must be there already (no --load-image)".to_owned());
        };
        for image in [Self::bookingq(), Self::next(), REDIS.to_owned()] {
            let mut words = loader.split_whitespace();
            let program = words.next().context("--load-image names no program")?;
            // A path is one from the top of the repository; a bare name is looked up.
            let program =
                if program.contains('/') { tree::root().join(program) } else { program.into() };
            let mut command = Command::new(program);
            command.args(words).arg(&image).current_dir(tree::root());
            shell::run(&mut command)?;
        }
        Ok(String::new())
    }
}

//! The images of the scenario, and how they are loaded into the cluster.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::bucket;
use crate::{shell, tree};

/// As in the chart and the sample.
const REPOSITORY: &str = "ghcr.io/bookingqueue/bookingq";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Default image of a managed Redis.
const REDIS: &str = "docker.io/library/redis:7.4";
/// The broker of the queue in Kafka.
pub const KAFKA: &str = "docker.io/apache/kafka:4.4.0";

/// The images.
pub struct Images {
    loader: Option<String>,
    with_kafka: bool,
    with_s3: bool,
}

impl Images {
    /// Loaded by the command `loader`, or present already.
    pub fn new(loader: Option<String>) -> Self {
        Self { loader, with_kafka: false, with_s3: false }
    }

    /// Also that of a broker.
    pub fn with_kafka(self, with_kafka: bool) -> Self {
        Self { with_kafka, ..self }
    }

    /// Also that of a server of S3.
    pub fn with_s3(self, with_s3: bool) -> Self {
        Self { with_s3, ..self }
    }

    /// The image in the chart and the sample.
    pub fn bookingq() -> String {
        format!("{REPOSITORY}:{VERSION}")
    }

    /// The same image at another tag, for the update of the workers.
    pub fn next() -> String {
        format!("{REPOSITORY}:{VERSION}-next")
    }

    /// Loads all images.
    pub fn load(&self) -> Result<String> {
        let Some(loader) = &self.loader else {
            return Ok("expected in the cluster (no --load-image)".to_owned());
        };
        let kafka = self.with_kafka.then(|| KAFKA.to_owned());
        let s3 = self.with_s3.then(|| bucket::IMAGE.to_owned());
        let always = [Self::bookingq(), Self::next(), REDIS.to_owned()];
        let images = always.into_iter().chain(kafka).chain(s3);
        for image in images {
            let mut words = loader.split_whitespace();
            let program = words.next().context("--load-image names no program")?;
            // A path is relative to the repository; a bare name is on the PATH.
            let program =
                if program.contains('/') { tree::root().join(program) } else { program.into() };
            let mut command = Command::new(program);
            command.args(words).arg(&image).current_dir(tree::root());
            shell::forget_own_package(&mut command);
            shell::run(&mut command)?;
        }
        Ok(String::new())
    }
}

//! The configuration of `bookingq up`.

use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::QueueName;

/// A whole run.
#[derive(Debug, Clone)]
pub struct UpConfig {
    /// The manifest.
    pub file: PathBuf,
    /// Run only this queue of the manifest; `None`: all of them.
    pub queue: Option<QueueName>,
    /// Where the data lives.
    pub store: StoreChoice,
    /// Number of workers.
    pub pool: PoolSize,
    /// Simulated clients.
    pub crowd: Option<CrowdSize>,
    /// How long to run; `None`: until stopped.
    pub time: Option<Duration>,
    /// Where the report goes.
    pub report: Option<PathBuf>,
    /// Overrides settings of the simulated Booking Service: `errors=5%,lost_replies=2%`.
    pub simulate: Option<String>,
    /// gRPC port of the first worker; 0: any free ports.
    pub base_port: u16,
    /// The `bookingq` program, to run workers as processes.
    pub program: PathBuf,
    /// Directory of the processes' logs; `None`: a temporary one.
    pub logs: Option<PathBuf>,
}

/// Where the data lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// In this process, with the workers; lost at its end.
    Embedded,
    /// In a redis-server that the run starts and stops; workers are processes.
    OwnRedis,
    /// In a Redis that runs already; workers are processes.
    Redis(String),
}

impl std::str::FromStr for StoreChoice {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text {
            "embedded" => Ok(Self::Embedded),
            "redis" => Ok(Self::OwnRedis),
            url if url.starts_with("redis://") || url.starts_with("rediss://") => {
                Ok(Self::Redis(url.to_owned()))
            }
            _ => Err(InvalidStore),
        }
    }
}

/// Not a store. The message does not repeat the text, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("allowed: embedded, redis (starts one), or redis://HOST:PORT")]
pub struct InvalidStore;

/// Number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSize {
    /// As the manifest says: a fixed number, or as many as the line needs.
    FromManifest,
    /// Always this many.
    Fixed(u32),
}

/// Simulated clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrowdSize {
    /// How many.
    pub clients: u32,
    /// Time within which they arrive.
    pub arrive: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_word_or_a_url_and_a_mistake_never_repeats_a_password() {
        assert_eq!("embedded".parse(), Ok(StoreChoice::Embedded));
        assert_eq!("redis".parse(), Ok(StoreChoice::OwnRedis));
        assert_eq!("redis://a:1".parse(), Ok(StoreChoice::Redis("redis://a:1".to_owned())));
        let refused = "http://:hunter2@a".parse::<StoreChoice>().map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err("allowed: embedded, redis (starts one), or redis://HOST:PORT".to_owned())
        );
    }
}

//! The address of Kafka: `kafka://HOST:PORT[,HOST:PORT…][/PREFIX]`.

use bookingq_core::kafka::{MAX_BROKERS, is_broker, is_topic_prefix};
use bookingq_core::{Invalid, QueueName};

use super::security::KafkaSecurity;

/// What begins the address of a store on Kafka.
const SCHEME: &str = "kafka://";
/// What begins the names of topics unless the address says otherwise.
const PREFIX: &str = "bookingq";
const RULE: &str = "kafka://HOST:PORT[,HOST:PORT…][/PREFIX] with at most 64 brokers, without a \
                    user, and a PREFIX of 1 to 100 letters, digits, '.', '_' and '-' (default: \
                    bookingq)";

/// Brokers, how they are reached, and the prefix of the topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaAddress {
    brokers: Vec<String>,
    prefix: String,
    security: KafkaSecurity,
}

impl KafkaAddress {
    /// Whether a text is meant as an address of Kafka.
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(SCHEME)
    }

    /// Reads `kafka://HOST:PORT[,HOST:PORT…][/PREFIX]`.
    ///
    /// # Errors
    /// When the text is something else. The error says what is allowed.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("the address of Kafka", text, RULE);
        let rest = text.strip_prefix(SCHEME).ok_or_else(invalid)?;
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let brokers: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        let are_brokers = brokers.len() <= MAX_BROKERS && brokers.iter().all(|one| is_broker(one));
        if !are_brokers || !is_topic_prefix(prefix) {
            return Err(invalid());
        }
        Ok(Self { brokers, prefix: prefix.to_owned(), security: KafkaSecurity::default() })
    }

    /// The same brokers, by TLS or with a login.
    #[must_use]
    pub fn with_security(self, security: KafkaSecurity) -> Self {
        Self { security, ..self }
    }

    /// How the brokers are reached.
    pub fn security(&self) -> &KafkaSecurity {
        &self.security
    }

    /// The brokers, separated by commas.
    pub fn bootstrap(&self) -> String {
        self.brokers.join(",")
    }

    /// The brokers, each HOST:PORT.
    pub fn brokers(&self) -> &[String] {
        &self.brokers
    }

    /// The topic that holds the commands of a queue.
    pub fn commands(&self, queue: &QueueName) -> String {
        format!("{}.{queue}", self.prefix)
    }

    /// The topic that holds the snapshots of a queue. No queue's name has a capital letter.
    pub fn snapshots(&self, queue: &QueueName) -> String {
        format!("{}.{queue}.SNAPSHOTS", self.prefix)
    }

    /// The topic that holds the readings of all queues with this prefix.
    pub fn readings(&self) -> String {
        format!("{}.READINGS", self.prefix)
    }
}

impl std::fmt::Display for KafkaAddress {
    /// The text that [`Self::new`] reads: without what is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bootstrap(), self.prefix)
    }
}

//! The id of a topic, and who leads it. A topic that was deleted and made again has another id, and
//! the client library does not show it; so this asks for it in Kafka's own protocol: one Metadata
//! request, version 10, which brokers know since 2.8.

use std::time::Duration;

use rand::seq::IteratorRandom as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::address::KafkaAddress;
use super::connection::{BrokerConnection, BrokerEntry};

/// The key of Metadata, and the version that is spoken.
const METADATA: i16 = 3;
const VERSION: i16 = 10;
/// Longest that a broker may take.
const WITHIN: Duration = Duration::from_secs(2);
/// The error code of a topic that does not exist.
const UNKNOWN_TOPIC: i16 = 3;
/// Brokers asked at once.
const ASKED: usize = 3;

/// What a broker says of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicFacts {
    /// Its id: another one for each time it is made.
    pub(super) id: uuid::Uuid,
    /// Its partitions.
    pub(super) partitions: usize,
    /// The replicas of the first partition.
    pub(super) replicas: usize,
    /// The node that leads the first partition; negative if none does.
    pub(super) leader: i32,
    /// The replicas of it that are in sync.
    pub(super) in_sync: usize,
}

/// Asks some of the brokers at once; the first answer counts. `None` if there is no such topic.
pub(super) async fn describe(
    address: &KafkaAddress,
    topic: &str,
) -> Result<Option<TopicFacts>, String> {
    let asked = address.brokers().iter().choose_multiple(&mut rand::rng(), ASKED);
    let entry = BrokerEntry::read(address.security()).await?;
    let mut asking = JoinSet::new();
    for broker in asked {
        let (broker, topic, entry) = (broker.clone(), topic.to_owned(), entry.clone());
        asking.spawn(async move {
            let answer = timeout(WITHIN, ask(&broker, &entry, &topic)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            answer.map_err(|error| format!("{broker}: {error}"))
        });
    }
    let mut last = "the address names no broker".to_owned();
    while let Some(answer) = asking.join_next().await {
        match answer {
            Ok(Ok(facts)) => return Ok(facts),
            Ok(Err(error)) => last = error,
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

async fn ask(broker: &str, entry: &BrokerEntry, topic: &str) -> Result<Option<TopicFacts>, String> {
    let mut connection = BrokerConnection::open(broker, entry).await?;
    let unanswered = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            "it ended the connection: it does not speak Metadata 10, or is not ready".to_owned()
        }
        _ => error.to_string(),
    };
    let answer = connection.ask(&request(topic)).await.map_err(unanswered)?;
    MetadataAnswer(&answer).topic().ok_or_else(|| "its answer cannot be read".to_owned())?
}

/// The request.
fn request(topic: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(METADATA.to_be_bytes());
    bytes.extend(VERSION.to_be_bytes());
    // The number of the request, no name of the client, and no tags.
    bytes.extend([0, 0, 0, 1, 0xff, 0xff, 0]);
    // One topic: no id, its name, no tags.
    bytes.push(2);
    bytes.extend([0; 16]);
    unsigned(&mut bytes, topic.len() + 1);
    bytes.extend(topic.as_bytes());
    // It must not be made, and who may do what is not of interest.
    bytes.extend([0, 0, 0, 0, 0]);
    bytes
}

/// Appends a number in groups of seven bits.
fn unsigned(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What is left of an answer. Every method is `None` at its end.
struct MetadataAnswer<'a>(&'a [u8]);

impl MetadataAnswer<'_> {
    /// The one topic, what the broker has against it, or that there is none.
    fn topic(mut self) -> Option<Result<Option<TopicFacts>, String>> {
        // The number of the request and tags; then the throttle time.
        self.skip(4)?;
        self.tags()?;
        self.skip(4)?;
        for _ in 0..self.count()? {
            self.skip(4)?;
            self.text()?;
            self.skip(4)?;
            self.text()?;
            self.tags()?;
        }
        // The id of the cluster and its controller.
        self.text()?;
        self.skip(4)?;
        if self.count()? != 1 {
            return None;
        }
        let error = self.short()?;
        self.text()?;
        let id = uuid::Uuid::from_slice(self.take(16)?).ok()?;
        self.skip(1)?;
        let partitions = self.count()?;
        match error {
            0 => {}
            UNKNOWN_TOPIC => return Some(Ok(None)),
            other => return Some(Err(format!("error {other} of topic"))),
        }
        if partitions == 0 {
            return Some(Ok(None));
        }
        // Of the first partition: error, number, leader, its term; then the replicas.
        self.skip(2 + 4)?;
        let leader = i32::from_be_bytes(self.take(4)?.try_into().ok()?);
        self.skip(4)?;
        let replicas = self.count()?;
        self.skip(4 * replicas)?;
        let in_sync = self.count()?;
        Some(Ok(Some(TopicFacts { id, partitions, replicas, leader, in_sync })))
    }

    fn take(&mut self, bytes: usize) -> Option<&[u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(drop)
    }

    fn short(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A number in groups of seven bits, of at most four bytes here.
    fn unsigned(&mut self) -> Option<usize> {
        let mut number = 0;
        for group in 0..4 {
            let byte = usize::from(*self.take(1)?.first()?);
            number |= (byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// The entries of a list.
    fn count(&mut self) -> Option<usize> {
        Some(self.unsigned()?.saturating_sub(1))
    }

    /// Skips a text, which may be none.
    fn text(&mut self) -> Option<()> {
        let length = self.count()?;
        self.skip(length)
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.unsigned()? {
            self.unsigned()?;
            let length = self.unsigned()?;
            self.skip(length)?;
        }
        Some(())
    }
}

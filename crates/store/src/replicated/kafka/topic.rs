//! Which settings of a topic keep the promises, and how a topic is made.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::types::RDKafkaErrorCode;

use super::address::KafkaAddress;
use super::clients::{admin, retire};
use super::metadata::{self, TopicFacts};
use crate::StoreError;
use crate::replicated::MAX_RECORD_BYTES;

/// Longest that the brokers may take to make a topic or to list its settings.
const WITHIN: Duration = Duration::from_secs(5);
/// What a batch of one record adds to it.
const BATCH: usize = 1024;

/// A topic, as its brokers describe it, cannot hold a log of commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TopicError {
    /// No broker answers, or none knows the topic yet.
    Unavailable(String),
    /// A setting would break a promise.
    Refused(String),
}

impl From<TopicError> for StoreError {
    fn from(error: TopicError) -> Self {
        match error {
            TopicError::Unavailable(what) => Self::Unavailable(what),
            TopicError::Refused(what) => Self::Settings(what),
        }
    }
}

/// Reads a topic's settings and checks them.
pub(super) async fn check(address: &KafkaAddress, topic: &str) -> Result<TopicFacts, TopicError> {
    let facts = facts(address, topic).await?;
    let admin = admin(address).map_err(|error| TopicError::Unavailable(error.to_string()))?;
    let options = AdminOptions::new().request_timeout(Some(WITHIN));
    let answer = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
    retire(&admin);
    let broken =
        |error: String| TopicError::Unavailable(format!("the settings of topic {topic}: {error}"));
    let mut found = answer.map_err(|error| broken(error.to_string()))?;
    let resource = found.pop().ok_or_else(|| broken("no answer".to_owned()))?;
    let resource = resource.map_err(|error| broken(error.to_string()))?;
    if resource.entries.is_empty() {
        // The client library drops the error of a topic.
        let why =
            "a broker lists none: it does not know the topic yet, or DescribeConfigs is denied";
        return Err(broken(why.to_owned()));
    }
    let settings: BTreeMap<String, String> = resource
        .entries
        .into_iter()
        .map(|entry| (entry.name, entry.value.unwrap_or_default()))
        .collect();
    match objection(&facts, &settings) {
        None => Ok(facts),
        Some(objection) => Err(TopicError::Refused(format!("topic {topic}: {objection}"))),
    }
}

/// What the brokers say of a topic without its settings.
pub(super) async fn facts(address: &KafkaAddress, topic: &str) -> Result<TopicFacts, TopicError> {
    match metadata::describe(address, topic).await {
        Ok(Some(facts)) => Ok(facts),
        Ok(None) => Err(TopicError::Unavailable(format!("there is no topic {topic}"))),
        Err(error) => Err(TopicError::Unavailable(format!("topic {topic}: {error}"))),
    }
}

/// The first setting that breaks a promise: its name, its value, and what is right.
fn objection(facts: &TopicFacts, settings: &BTreeMap<String, String>) -> Option<String> {
    let TopicFacts { partitions, replicas, .. } = *facts;
    if partitions != 1 {
        return Some(format!("it has {partitions} partitions; allowed: 1"));
    }
    let is = |name: &str, right: &str| {
        let value = settings.get(name).map_or("", String::as_str);
        (value != right).then(|| format!("{name} is {value:?}; allowed: {right}"))
    };
    let number = |name: &str| settings.get(name).and_then(|value| value.parse::<usize>().ok());
    is("message.timestamp.type", "LogAppendTime")
        .or_else(|| is("cleanup.policy", "delete"))
        .or_else(|| is("retention.ms", "-1"))
        .or_else(|| is("retention.bytes", "-1"))
        .or_else(|| is("unclean.leader.election.enable", "false"))
        .or_else(|| {
            let (least, found) = (MAX_RECORD_BYTES + BATCH, number("max.message.bytes"));
            (found.is_none_or(|found| found < least)).then(|| {
                format!("max.message.bytes is {}; allowed: {least} and more", found.unwrap_or(0))
            })
        })
        .or_else(|| {
            let least = replicas.min(2);
            let found = number("min.insync.replicas").unwrap_or(0);
            (!(least..=replicas).contains(&found)).then(|| {
                format!(
                    "min.insync.replicas is {found} with {replicas} replicas; allowed: {least} to \
                     {replicas}"
                )
            })
        })
}

/// The settings of a topic that holds a log.
const OF_LOG: [(&str, &str); 6] = [
    ("message.timestamp.type", "LogAppendTime"),
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("unclean.leader.election.enable", "false"),
    ("max.message.bytes", "1048588"),
];
/// The settings of the topic of readings: the newest of each queue is kept, and that of a queue
/// without workers goes after an hour.
const OF_READINGS: [(&str, &str); 5] = [
    ("cleanup.policy", "compact,delete"),
    ("retention.ms", "3600000"),
    ("segment.ms", "600000"),
    ("segment.bytes", "16777216"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

/// Makes a topic unless it is there, waits until brokers know it, and checks it. Returns whether it
/// was made.
pub(super) async fn create(
    address: &KafkaAddress,
    topic: &str,
    replication: u16,
) -> Result<bool, StoreError> {
    let is_new = make(address, topic, replication, &OF_LOG).await?;
    until_known(|| check(address, topic)).await?;
    Ok(is_new)
}

/// The same for the topic of readings, whose settings break no promise.
pub(super) async fn create_readings(
    address: &KafkaAddress,
    replication: u16,
) -> Result<bool, StoreError> {
    let topic = &address.readings();
    let is_new = make(address, topic, replication, &OF_READINGS).await?;
    let TopicFacts { partitions, .. } = until_known(|| facts(address, topic)).await?;
    if partitions != 1 {
        let what = format!("topic {topic}: it has {partitions} partitions; allowed: 1");
        return Err(StoreError::Settings(what));
    }
    Ok(is_new)
}

async fn is_there(address: &KafkaAddress, topic: &str) -> Result<bool, StoreError> {
    let found = metadata::describe(address, topic).await;
    let found =
        found.map_err(|error| StoreError::Unavailable(format!("topic {topic}: {error}")))?;
    Ok(found.is_some())
}

/// Asks for a topic. Returns whether it was made.
async fn make(
    address: &KafkaAddress,
    topic: &str,
    replication: u16,
    settings: &[(&str, &str)],
) -> Result<bool, StoreError> {
    let in_sync = if replication > 1 { "2" } else { "1" };
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(i32::from(replication)))
        .set("min.insync.replicas", in_sync);
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    // Asked first, because it says why brokers cannot be reached; the client library says that the
    // time is over.
    if is_there(address, topic).await? {
        return Ok(false);
    }
    let client = admin(address)?;
    let options = AdminOptions::new().request_timeout(Some(WITHIN)).operation_timeout(Some(WITHIN));
    let answer = client.create_topics([&new], &options).await;
    retire(&client);
    let failed = |error: &dyn std::fmt::Display| {
        StoreError::Unavailable(format!("topic {topic} cannot be made: {error}"))
    };
    match answer.map_err(|error| failed(&error))?.pop() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
        Some(Err((
            _,
            code @ (RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::PolicyViolation),
        ))) => {
            let what =
                format!("topic {topic} with replication {replication} cannot be made: {code}");
            Err(StoreError::Settings(what))
        }
        Some(Err((_, code))) => Err(failed(&code)),
        None => Err(failed(&"no answer")),
    }
}

/// Waits until brokers know a topic that was made a moment ago.
async fn until_known<L: Future<Output = Result<TopicFacts, TopicError>>>(
    look: impl Fn() -> L,
) -> Result<TopicFacts, StoreError> {
    let until = tokio::time::Instant::now() + WITHIN;
    loop {
        match look().await {
            Ok(facts) => return Ok(facts),
            Err(TopicError::Unavailable(_)) if tokio::time::Instant::now() < until => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

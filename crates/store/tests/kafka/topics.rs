//! Topics that would break a promise are refused in one line, and nothing is applied.

use std::time::Duration;

use bookingq_core::{Admission, QueueName};
use bookingq_harness::wait::{answered, eventually};
use bookingq_store::StoreError;
use bookingq_store::replicated::{
    CommandLog as _, KafkaAddress, KafkaConfig, KafkaLog, LogCursor, create_topics,
};
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;

use crate::broker::{address, config, queue, shared, topics_of};

const SECOND: Duration = Duration::from_secs(1);

type Admin = AdminClient<DefaultClientContext>;

fn admin(address: &KafkaAddress) -> Admin {
    ClientConfig::new().set("bootstrap.servers", address.bootstrap()).create().unwrap()
}

/// Makes a topic that is right but for its partitions and one setting.
async fn make(admin: &Admin, topic: &str, partitions: i32, (name, value): (&str, &str)) {
    let right = [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("max.message.bytes", "1048588"),
    ];
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    for (setting, value) in right.into_iter().filter(|(setting, _)| *setting != name) {
        new = new.set(setting, value);
    }
    if !name.is_empty() {
        new = new.set(name, value);
    }
    admin.create_topics([&new], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

async fn refused(address: &KafkaAddress, queue: QueueName) -> String {
    let mut replicated = config(queue);
    replicated.timeout = 10 * SECOND;
    let store = bookingq_store::open(KafkaConfig { address: address.clone(), replicated }).unwrap();
    let mut refusal = None;
    eventually("the topic is known", 20 * SECOND, async || {
        refusal = store.open().await.err().filter(|error| !error.is_transient());
        refusal.is_some()
    })
    .await;
    let refusal = refusal.unwrap();
    assert!(matches!(refusal, StoreError::Settings(_)), "{refusal}");
    refusal.to_string()
}

#[tokio::test]
async fn a_topic_that_would_break_a_promise_is_refused_in_one_line() {
    let cluster = shared();
    let address = address(&cluster);
    let admin = admin(&address);
    let cases = [
        (1, ("message.timestamp.type", "CreateTime"), "allowed: LogAppendTime"),
        (1, ("cleanup.policy", "compact"), "allowed: delete"),
        (1, ("cleanup.policy", "compact,delete"), "allowed: delete"),
        (1, ("retention.ms", "86400000"), "allowed: -1"),
        (1, ("retention.bytes", "1000000000"), "allowed: -1"),
        (1, ("max.message.bytes", "500000"), "allowed: 961024 and more"),
        (1, ("min.insync.replicas", "2"), "allowed: 1 to 1"),
        (1, ("unclean.leader.election.enable", "true"), "allowed: false"),
        (2, ("", ""), "it has 2 partitions; allowed: 1"),
    ];
    for (partitions, setting, allowed) in cases {
        let queue = queue();
        let topic = address.commands(&queue);
        make(&admin, &topic, partitions, setting).await;
        let error = refused(&address, queue.clone()).await;
        for part in [&topic, setting.0, setting.1, allowed] {
            assert!(error.contains(part) && !error.contains('\n'), "{part}: {error}");
        }
        let log = KafkaLog::new(&address, topic).unwrap();
        log.append(b"anything").await.unwrap_err();
        log.tail(LogCursor::From(0), 1, SECOND).await.unwrap_err();
        // Nor does making it again hide what is wrong.
        create_topics(&address, &queue, 1).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_topic_without_a_setting_that_is_wrong_is_used() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    let admin = admin(&address);
    make(&admin, &address.commands(&queue), 1, ("", "")).await;
    // That of snapshots was missing.
    answered(30 * SECOND, async || create_topics(&address, &queue, 1).await).await;
    assert!(!answered(30 * SECOND, async || create_topics(&address, &queue, 1).await).await);
    let config = KafkaConfig { address, replicated: config(queue) };
    let store = bookingq_store::open(config).unwrap();
    store.open().await.unwrap();
}

#[tokio::test]
async fn a_missing_topic_is_waited_for() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    let open = KafkaConfig { address: address.clone(), replicated: config(queue.clone()) };
    let store = bookingq_store::open(open).unwrap();
    let error = store.open().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains(&format!("there is no topic {}", address.commands(&queue))));
    topics_of(&address, &queue, 1).await;
    store.open().await.unwrap();
    store.set_admission(Admission::Paused).await.unwrap();
}

/// As an administrator can do while a queue runs.
#[tokio::test]
async fn a_record_without_the_brokers_time_stops_the_replica() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let topic = address.commands(&queue);
    let open = KafkaConfig { address: address.clone(), replicated: config(queue.clone()) };
    let store = bookingq_store::open(open).unwrap();
    store.set_admission(Admission::Paused).await.unwrap();
    let wrong = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("message.timestamp.type", "CreateTime")
        .set("retention.ms", "-1");
    let admin = admin(&address);
    admin.alter_configs([&wrong], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let mut stopped = None;
    eventually("the store stops", 20 * SECOND, async || {
        stopped = store.set_admission(Admission::Open).await.err();
        stopped.is_some()
    })
    .await;
    let error = stopped.unwrap().to_string();
    assert!(error.contains("has no LogAppendTime"), "{error}");
}

#[tokio::test]
async fn a_setting_that_goes_wrong_while_a_queue_runs_is_named_until_it_is_put_right() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let topic = address.commands(&queue);
    let open = KafkaConfig { address: address.clone(), replicated: config(queue) };
    let store = bookingq_store::open(open).unwrap();
    store.set_admission(Admission::Paused).await.unwrap();
    let admin = admin(&address);
    let in_sync = async |replicas| {
        let setting = AlterConfig::new(ResourceSpecifier::Topic(&topic))
            .set("message.timestamp.type", "LogAppendTime")
            .set("retention.ms", "-1")
            .set("min.insync.replicas", replicas);
        admin.alter_configs([&setting], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    };
    in_sync("2").await;
    let mut error = String::new();
    // Three calls: each takes up to 30 s.
    eventually("the setting is named", 90 * SECOND, async || {
        let asked = store.set_admission(Admission::Open).await;
        error = asked.err().map(|error| error.to_string()).unwrap_or_default();
        error.contains("min.insync.replicas")
    })
    .await;
    for part in [&*topic, "min.insync.replicas is 2", "allowed: 1 to 1"] {
        assert!(error.contains(part) && !error.contains('\n'), "{part}: {error}");
    }
    in_sync("1").await;
    eventually("it serves", 60 * SECOND, async || {
        store.set_admission(Admission::Open).await.is_ok()
    })
    .await;
    assert_eq!(store.snapshot().await.unwrap().admission, Admission::Open);
}

#[tokio::test]
async fn a_topic_that_is_put_right_is_used() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    let admin = admin(&address);
    let topic = address.commands(&queue);
    make(&admin, &topic, 1, ("retention.ms", "1000000000")).await;
    make(&admin, &address.snapshots(&queue), 1, ("", "")).await;
    let open = KafkaConfig { address: address.clone(), replicated: config(queue) };
    let store = bookingq_store::open(open).unwrap();
    eventually("the topic is refused", 20 * SECOND, async || {
        store.open().await.is_err_and(|error| !error.is_transient())
    })
    .await;
    let right = AlterConfig::new(ResourceSpecifier::Topic(&topic))
        .set("message.timestamp.type", "LogAppendTime")
        .set("retention.ms", "-1");
    admin.alter_configs([&right], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    eventually("the topic is used", 20 * SECOND, async || store.open().await.is_ok()).await;
    store.set_admission(Admission::Paused).await.unwrap();
}

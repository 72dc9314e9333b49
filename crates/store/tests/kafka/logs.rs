//! What a log must do: order, positions, trimming, and noticing that it is not the same any more.

use std::time::{Duration, Instant};

use bookingq_core::{Admission, BookingId, ClientId, Details, RequestId};
use bookingq_harness::wait::{answered, eventually};
use bookingq_store::replicated::{
    CommandLog as _, KafkaConfig, KafkaLog, LogCursor, LogError, LogPosition, LogRecord,
    ReplicatedConfig, create_topics, take_snapshot,
};
use bookingq_store::{Enqueue, Scope};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

use crate::broker::{address, config, queue, shared, topics_of};

const SECOND: Duration = Duration::from_secs(1);

/// Reads until there are `records`.
async fn read(log: &KafkaLog, mut from: LogCursor, records: usize) -> Vec<LogRecord> {
    let mut all = Vec::new();
    while all.len() < records {
        let found = log.tail(from, records, 10 * SECOND).await.unwrap();
        assert!(!found.is_empty(), "{} of {records} arrived", all.len());
        all.extend(found);
        from = LogCursor::After(all.last().unwrap().position);
    }
    all
}

pub fn enqueue(client: &str) -> Vec<Enqueue> {
    vec![Enqueue {
        client: ClientId::new(client).unwrap(),
        request: RequestId::new("r").unwrap(),
        booking: BookingId::generate(),
        details: Details::default(),
        trace: None,
    }]
}

#[tokio::test]
async fn records_keep_their_order_and_can_be_trimmed() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let topic = address.commands(&queue);
    let log = KafkaLog::new(&address, topic.clone()).unwrap();
    assert_eq!(log.tail(LogCursor::From(0), 9, SECOND / 10).await.unwrap(), []);
    for n in 0..5u8 {
        log.append(&[n; 100]).await.unwrap();
    }
    let large = vec![7; bookingq_store::replicated::MAX_RECORD_BYTES];
    log.append(&large).await.unwrap();
    let records = read(&log, LogCursor::From(0), 6).await;
    assert!(records.iter().map(|record| record.position.offset).eq(0..6));
    assert!(records.windows(2).all(|pair| pair[0].stamp <= pair[1].stamp));
    assert!(records[..5].iter().zip(0u8..).all(|(record, n)| record.bytes == [n; 100]));
    assert_eq!(records[5].bytes, large);
    let bounds = answered(30 * SECOND, async || log.bounds().await).await;
    assert_eq!((bounds.start, bounds.end), (0, 6));

    answered(30 * SECOND, async || log.trim(3).await).await;
    let other = KafkaLog::new(&address, topic).unwrap();
    let error = other.tail(LogCursor::From(0), 9, SECOND).await.unwrap_err();
    assert_eq!(error, LogError::Trimmed { start: 3 });
    assert_eq!(read(&other, LogCursor::From(3), 3).await, records[3..]);
    // Right before the first record: there is nothing to compare with.
    assert_eq!(read(&other, LogCursor::After(records[2].position), 3).await, records[3..]);
    assert_eq!(
        answered(30 * SECOND, async || other.bounds().await).await,
        answered(30 * SECOND, async || log.bounds().await).await
    );
    assert_eq!(answered(30 * SECOND, async || other.bounds().await).await.start, 3);
}

#[tokio::test]
async fn another_record_in_the_place_of_the_newest_is_noticed() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let log = KafkaLog::new(&address, address.commands(&queue)).unwrap();
    for text in ["one", "two"] {
        log.append(text.as_bytes()).await.unwrap();
    }
    let records = read(&log, LogCursor::From(0), 2).await;
    let other = LogPosition { term: records[1].position.term ^ 1, ..records[1].position };
    let error = log.tail(LogCursor::After(other), 9, SECOND).await.unwrap_err();
    assert_eq!(error, LogError::Truncated);
    // A leader that was cut off may show an older end for a while, so that is waited out.
    let beyond = LogPosition { offset: 7, term: 1 };
    let since = Instant::now();
    loop {
        match log.tail(LogCursor::After(beyond), 9, SECOND).await.unwrap_err() {
            LogError::Unavailable(why) => assert!(why.contains("ends at offset 2"), "{why}"),
            error => break assert_eq!(error, LogError::Truncated),
        }
        assert!(since.elapsed() < 25 * SECOND);
        tokio::time::sleep(SECOND / 5).await;
    }
    assert!(since.elapsed() > 14 * SECOND);
    assert_eq!(read(&log, LogCursor::After(records[0].position), 1).await, records[1..]);
}

#[tokio::test]
async fn a_topic_that_was_made_again_gives_the_data_another_epoch() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let open = KafkaConfig { address: address.clone(), replicated: config(queue.clone()) };
    let store = bookingq_store::open(open).unwrap();
    let epoch = store.open().await.unwrap().epoch;
    for client in ["anna", "ben"] {
        store.enqueue(enqueue(client)).await.unwrap().remove(0).unwrap();
    }
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", address.bootstrap()).create().unwrap();
    let topics = [address.commands(&queue), address.snapshots(&queue)];
    let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
    for deleted in admin.delete_topics(&topics, &AdminOptions::new()).await.unwrap() {
        deleted.unwrap();
    }
    // A broker may go on describing deleted topics for a while, and then there is nothing to make.
    eventually("the store notices", 60 * SECOND, async || {
        let made = create_topics(&address, &queue, 1).await;
        let found = store.snapshot().await;
        made.is_ok() && found.is_ok_and(|snapshot| snapshot.epoch != epoch)
    })
    .await;
    let anna = ClientId::new("anna").unwrap();
    assert_eq!(store.status(vec![anna]).await.unwrap(), [None]);
    store.enqueue(enqueue("carl")).await.unwrap().remove(0).unwrap();
    assert_eq!(store.snapshot().await.unwrap().totals.enqueued, 1);
}

#[tokio::test]
async fn a_worker_that_comes_later_begins_with_a_snapshot() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let config = ReplicatedConfig { snapshot_every: 1, ..config(queue.clone()) };
    let open = KafkaConfig { address: address.clone(), replicated: config.clone() };
    let store = bookingq_store::open(open.clone()).unwrap();
    for client in 0..20 {
        store.enqueue(enqueue(&format!("c{client}"))).await.unwrap().remove(0).unwrap();
    }
    let logs = KafkaLog::pair(&address, &queue).unwrap();
    let report = take_snapshot(&logs, &config).await.unwrap().unwrap();
    assert!(report.is_kept && report.position.offset >= 19, "{report:?}");
    assert_eq!(
        answered(30 * SECOND, async || logs.commands.bounds().await).await.start,
        report.position.offset
    );
    store.enqueue(enqueue("last")).await.unwrap().remove(0).unwrap();
    let later = bookingq_store::open(open).unwrap();
    let asked = ["c0", "c19", "last"].map(|name| ClientId::new(name).unwrap()).to_vec();
    let found = later.status(asked.clone()).await.unwrap();
    assert_eq!(found, store.status(asked).await.unwrap());
    let numbers = found.iter().map(|found| found.as_ref().unwrap().place.number.get());
    assert!(numbers.eq([1, 20, 21]));
}

/// The broker's clock decides; this machine's is the same here, but the lease is over only when a
/// record says so.
#[tokio::test]
async fn a_lease_ends_by_the_brokers_clock() {
    let cluster = shared();
    let (address, queue) = (address(&cluster), queue());
    topics_of(&address, &queue, 1).await;
    let open = KafkaConfig { address, replicated: config(queue) };
    let store = bookingq_store::open(open).unwrap();
    store.enqueue(enqueue("anna")).await.unwrap().remove(0).unwrap();
    let lease = Duration::from_secs(2);
    assert_eq!(store.claim(1, lease, Scope::Everything).await.unwrap().tasks.len(), 1);
    let claimed = Instant::now();
    assert!(store.claim(1, lease, Scope::Everything).await.unwrap().tasks.is_empty());
    eventually("the lease ends", 20 * SECOND, async || {
        !store.claim(1, lease, Scope::DueOnly).await.unwrap().tasks.is_empty()
    })
    .await;
    assert!(claimed.elapsed() + SECOND / 10 >= lease, "{:?}", claimed.elapsed());
    store.set_admission(Admission::Paused).await.unwrap();
}

//! B6: what a replica does not understand stops it, and is never skipped.

use std::time::Duration;

use bookingq_core::{Admission, EventSeq, Timestamp};
use bookingq_store::replicated::{
    CommandLog as _, LogPosition, LogRecord, Replica, ReplicaSettings, ReplicatedConfig,
    ReplicatedStore,
};
use bookingq_store::{Store, StoreError};

use crate::fake_log::{FakeLog, Faults, with_snapshots};
use crate::{SETTINGS, config};

async fn stops(bytes: &[u8], because: &str) {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    store.set_admission(Admission::Paused).await.unwrap();
    let (before, digest) = store.digest();
    log.append(bytes).await.unwrap();
    let error = store.snapshot().await.unwrap_err();
    assert!(error.to_string().contains(because), "{error}");
    let error = store.set_admission(Admission::Open).await.unwrap_err();
    assert!(error.to_string().contains("offset 1"), "{error}");
    // Also a follower that would wait for ever.
    let latest = store.events(EventSeq::START, 9, Duration::from_secs(3600)).await;
    assert!(latest.unwrap_err().to_string().contains(because));
    assert_eq!(store.digest(), (before, digest), "nothing of it took effect");
}

#[tokio::test]
async fn a_record_of_others_stops_the_replica() {
    stops(b"not an envelope", "offset 1").await;
    stops(b"", "the rules is missing").await;
    // Rules 1, and field 99.
    stops(&[0x08, 0x01, 0x98, 0x06, 0x01], "does not know").await;
    // Rules 1, and a command without a change that is known.
    stops(&[0x08, 0x01, 0x3a, 0x03, 0xf2, 0x01, 0x00], "does not know").await;
    // Rules 1, then a sweep that is fine and a claim of a scope that is none.
    stops(
        &[0x08, 0x01, 0x3a, 0x02, 0x38, 0x01, 0x3a, 0x04, 0x12, 0x02, 0x18, 0x09],
        "the scope of a claim is 9",
    )
    .await;
    // Rules 2, which no upgrade has set and this release does not know.
    stops(&[0x08, 0x02], "knows rules up to 1").await;
}

fn knowing(rules: u32) -> ReplicatedConfig {
    ReplicatedConfig { known_rules: rules, ..config() }
}

#[tokio::test]
async fn an_upgrade_stops_only_the_replicas_that_do_not_know_it() {
    let log = FakeLog::new(Faults { doubles: 50, ..Faults::default() }, 1);
    let new = ReplicatedStore::start(knowing(2), with_snapshots(&log));
    let newer = ReplicatedStore::start(knowing(3), with_snapshots(&log));
    let old = ReplicatedStore::start(knowing(1), with_snapshots(&log));
    for store in [&new, &newer, &old] {
        store.set_admission(Admission::Open).await.unwrap();
    }
    let error = old.upgrade(2).await.unwrap_err();
    assert!(matches!(error, StoreError::Settings(_)), "{error}");
    old.snapshot().await.unwrap();
    new.upgrade(2).await.unwrap();
    let error = old.snapshot().await.unwrap_err();
    assert!(error.to_string().contains("rules 2"), "{error}");
    for store in [&new, &newer] {
        store.set_admission(Admission::Paused).await.unwrap();
        assert_eq!(store.snapshot().await.unwrap().admission, Admission::Paused);
    }
    // Who starts later reads the upgrade as well.
    let later = ReplicatedStore::start(knowing(2), with_snapshots(&log));
    later.snapshot().await.unwrap();
}

/// An envelope that was sent again after the log had lost an upgrade.
#[tokio::test]
async fn rules_whose_upgrade_is_lost_are_in_force_all_the_same() {
    let mut replica = Replica::new(ReplicaSettings { known_rules: 2, ..SETTINGS });
    let position = |offset| LogPosition { offset, term: 1 };
    let record = |offset, bytes: &[u8]| LogRecord {
        position: position(offset),
        stamp: Timestamp(1_800_000_000_000),
        bytes: bytes.to_vec(),
    };
    replica.replay(&record(0, &[0x08, 0x02, 0x20, 0x01])).unwrap();
    // A replica of an older release stops here, and not when it is too late.
    let mut old = Replica::new(SETTINGS);
    let error = old.replay(&record(0, &[0x08, 0x02, 0x20, 0x01])).unwrap_err().to_string();
    assert!(error.contains("knows rules up to 1"), "{error}");
}

/// Another state under the same log: what a defect, or another release, would lead to.
#[tokio::test]
async fn a_replica_whose_state_differs_stops() {
    let log = FakeLog::new(Faults::default(), 1);
    let store = ReplicatedStore::start(config(), with_snapshots(&log));
    for _ in 0..30 {
        store.set_admission(Admission::Open).await.unwrap();
    }
    let records = log.records();
    let claims = |record: &&LogRecord| record.bytes.windows(2).any(|pair| pair == [0x42, 0x16]);
    let claiming: Vec<&LogRecord> = records.iter().filter(claims).collect();
    assert!(claiming.len() >= 3, "{} of {} records claim a digest", claiming.len(), records.len());
    // The first claim, with one bit of the digest changed.
    let index = claiming[0].position.offset as usize;
    let mut forged = records[index].clone();
    let last = forged.bytes.len() - 1;
    forged.bytes[last] ^= 1;
    let mut replica = Replica::new(SETTINGS);
    for record in &records[..index] {
        replica.replay(record).unwrap();
    }
    let error = replica.replay(&forged).unwrap_err().to_string();
    assert!(error.contains("has digest"), "{error}");
    replica.replay(&records[index]).unwrap();
}

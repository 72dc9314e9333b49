//! Backups and restores, with real redis-servers: in a folder, and in a bucket of a real server.
#![allow(clippy::unwrap_used)]

mod bucket;
#[path = "../support/certificates.rs"]
mod certificates;
mod cut_proxy;
mod folder;
mod moment;
mod place;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::time::Duration;

use bookingq_core::{BookingState, ClientId, PaymentId, ReservationId};
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisOptions, RedisServer};
use bookingq_store::backup::{self, BackupError, BackupLocation, BackupRequest, FoundBackup};
use bookingq_store::redis::{RedisConfig, RedisStore};
use bookingq_store::{
    Confirm, Confirmed, Scope, Settled, Settlement, Snapshot, Store, TaskOutcome,
};
use support::enqueue;
use tokio::time::timeout;

const BACK: Duration = Duration::from_secs(15);
const LEASE: Duration = Duration::from_secs(60);
/// No step takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

async fn take(redis: &RedisConfig, to: &BackupLocation) -> Result<FoundBackup, BackupError> {
    let request = BackupRequest {
        redis: redis.clone(),
        namespace: Some("sale".to_owned()),
        to: to.clone(),
        silence: Duration::from_secs(20),
    };
    timeout(LIMIT, backup::create(&request, |_| ())).await.unwrap()
}

/// A server on this data folder.
fn server_on(data: &Path) -> RedisServer {
    let directory = Some(data.to_owned());
    RedisOptions { directory, ..RedisOptions::new(Fsync::Always) }.start(|_| ()).unwrap()
}

/// A store that was opened, once the server has loaded its data.
async fn opened(url: String, config: &RedisConfig) -> (RedisStore, String) {
    let store = RedisStore::connect(RedisConfig { url, ..config.clone() }).unwrap();
    eventually("the store opens", BACK, async || store.open().await.is_ok()).await;
    let epoch = store.open().await.unwrap().epoch;
    (store, epoch)
}

async fn join(store: &RedisStore, name: &str) {
    store.enqueue(vec![enqueue(name)]).await.unwrap().remove(0).unwrap();
}

/// Joins, reserves, pays and confirms.
async fn book(store: &RedisStore, name: &str) {
    join(store, name).await;
    let settle = async |task: bookingq_store::Lease, outcome| {
        let settlement = Settlement { lease: task, outcome, busy: Duration::ZERO };
        assert!(matches!(store.settle(vec![settlement]).await.unwrap()[0], Settled::Applied(_)));
    };
    let task = store.claim(1, LEASE, Scope::Everything).await.unwrap().tasks.remove(0);
    assert_eq!(task.client.as_str(), name);
    let reservation = ReservationId::new("r").unwrap();
    settle(task.lease(), TaskOutcome::Reserved { reservation, hold: LEASE, left: None }).await;
    let (client, payment) = (ClientId::new(name).unwrap(), PaymentId::new("p").unwrap());
    let confirm = Confirm { client, booking: None, payment, reacquire: None };
    match store.confirm(vec![confirm], LEASE).await.unwrap().remove(0) {
        Ok(Confirmed::Won(task, _)) => settle(task.lease(), TaskOutcome::Confirmed).await,
        other => panic!("a payment in time must win: {other:?}"),
    }
}

async fn state(store: &RedisStore, name: &str) -> Option<BookingState> {
    let found = store.status(vec![ClientId::new(name).unwrap()]).await.unwrap().remove(0);
    found.map(|booking| booking.state)
}

/// Reads once the server answers again.
async fn reads(store: &RedisStore) -> Snapshot {
    eventually("the store reads again", BACK, async || store.snapshot().await.is_ok()).await;
    store.snapshot().await.unwrap()
}

//! GetStatusBatch.

use bookingq_core::Admission;
use bookingq_proto::convert::from_timestamp;
use bookingq_proto::v1::{self, ErrorReason};
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::support::{Client, World, connect, eventually, reason};
use crate::world::{join, on_redis};

async fn read(
    client: &mut Client,
    clients: impl IntoIterator<Item = String>,
) -> Result<v1::GetStatusBatchResponse, Status> {
    let client_ids = clients.into_iter().collect();
    let request = v1::GetStatusBatchRequest { queue: "concert".into(), client_ids };
    client.get_status_batch(request).await.map(tonic::Response::into_inner)
}

/// Reads 1,000 clients at once: those in line, some twice, and some without a booking.
async fn reads_all(world: &World) {
    world.store.set_admission(Admission::Paused).await.unwrap();
    join(&world.store, 0..900).await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    let names = (0..950).chain(0..50).map(|n| format!("c{n}"));
    let read = read(&mut client, names).await.unwrap();
    assert_eq!(read.results.len(), 1000);
    for (index, result) in read.results.iter().enumerate() {
        let number = index % 950;
        let found = result.booking.as_ref().map(|found| (found.client_id.clone(), found.position));
        let expected = (number < 900).then(|| (format!("c{number}"), number as u64 + 1));
        assert_eq!(found, expected);
    }
    let snapshot = world.store.snapshot().await.unwrap();
    assert_eq!(read.epoch, snapshot.epoch);
    let at = from_timestamp(&read.now.unwrap());
    let apart = at.0.abs_diff(snapshot.now.0);
    assert!(apart < 1000, "the store's clock, extrapolated: {apart} ms apart");
    worker.drain().await;
}

#[tokio::test]
async fn each_client_has_its_result_in_the_order_of_the_request() {
    reads_all(&World::new("stock=1").await).await;
}

#[tokio::test]
async fn each_client_has_its_result_on_redis_too() {
    reads_all(&on_redis("stock=1").await.world).await;
}

#[tokio::test]
async fn a_batch_of_a_wrong_size_and_a_wrong_client_are_refused_by_name() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    for size in [0, 1001] {
        let refused = read(&mut client, vec!["c".to_owned(); size]).await.unwrap_err();
        assert_eq!(reason(&refused), ErrorReason::InvalidArgument);
        let info = refused.get_details_error_info().unwrap();
        assert_eq!(info.metadata["field"], "client_ids");
        assert_eq!(info.metadata["value"], format!("\"{size} entries\""));
    }
    let mut names: Vec<_> = (0..20).map(|n| format!("c{n}")).collect();
    names[17] = "a\nb".to_owned();
    let refused = read(&mut client, names).await.unwrap_err();
    assert_eq!(refused.get_details_error_info().unwrap().metadata["field"], "client_ids[17]");
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "client_ids[17]");
    assert!(refused.message().contains("client_ids[17] is \"a\\nb\""), "{}", refused.message());
    let other = v1::GetStatusBatchRequest { queue: "theatre".into(), client_ids: vec![] };
    let refused = client.get_status_batch(other).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::QueueNotFound);
    worker.drain().await;
}

#[tokio::test]
async fn after_data_was_lost_the_epoch_is_another_one() {
    let on = on_redis("stock=1").await;
    let worker = on.world.worker("w").await;
    let client = connect(&worker).await;
    join(&on.world.store, 0..10).await;
    let names = || (0..10).map(|n| format!("c{n}"));
    let before = read(&mut client.clone(), names()).await.unwrap();
    assert!(before.results.iter().all(|result| result.booking.is_some()));
    on.redis.cli(&["FLUSHALL"]).unwrap();
    eventually("another epoch", || {
        let mut client = client.clone();
        let before = before.epoch.clone();
        async move {
            let after = read(&mut client, names()).await;
            after.is_ok_and(|after| {
                after.epoch != before && after.results.iter().all(|one| one.booking.is_none())
            })
        }
    })
    .await;
    worker.drain().await;
}

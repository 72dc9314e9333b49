//! The gRPC port: refusals with reasons, health, bounds, streams, TLS.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bookingq_core::Admission;
use bookingq_proto::v1::{self, BookingState, ErrorReason};
use bookingq_serve::tls::{Identity, ServerTls};
use bookingq_worker::config::ServerLimits;
use bookingq_worker::{SERVICE_NAME, WorkerConfig};
use support::{Client, World, cancel, connect, enqueue, pay, reason};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

#[tokio::test]
async fn every_refusal_names_its_reason_and_its_field() {
    let world = World::new("stock=1").await;
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    let big = "x".repeat(1 << 20);
    for bad in ["", "a\u{0}b", &big] {
        let status = enqueue(&mut client, bad, "r").await.unwrap_err();
        assert_eq!(reason(&status), ErrorReason::InvalidArgument);
        assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "client_id");
        assert!(status.message().len() < 300);
    }
    let other = v1::GetQueueRequest { queue: "theatre".into() };
    assert_eq!(reason(&client.get_queue(other).await.unwrap_err()), ErrorReason::QueueNotFound);
    let unknown = cancel(&mut client, "stranger").await.unwrap_err();
    assert_eq!(reason(&unknown), ErrorReason::BookingNotFound);
    world.store.set_admission(Admission::Closed).await.unwrap();
    let closed = enqueue(&mut client, "late", "r").await.unwrap_err();
    assert_eq!(reason(&closed), ErrorReason::QueueClosed);
    worker.drain().await;
}

#[tokio::test]
async fn nothing_can_be_paid_while_it_is_queued() {
    let world = World::new("stock=1").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "anna", "r").await.unwrap();
    let early = pay(&mut client, "anna", "p").await.unwrap_err();
    assert_eq!(reason(&early), ErrorReason::NotReserved);
    worker.drain().await;
}

#[tokio::test]
async fn a_batch_answers_each_entry_by_itself_and_in_order() {
    let world = World::new("stock=1").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    let entry = |who: &str| v1::EnqueueRequest {
        queue: "concert".into(),
        client_id: who.into(),
        request_id: "r".into(),
        ..Default::default()
    };
    let requests = vec![entry("a"), entry(""), entry("b"), entry("a")];
    let results = client
        .enqueue_batch(v1::EnqueueBatchRequest { requests })
        .await
        .unwrap()
        .into_inner()
        .results;
    let position = |n: usize| match results[n].result.as_ref().unwrap() {
        v1::enqueue_result::Result::Response(response) => {
            response.booking.as_ref().unwrap().position
        }
        v1::enqueue_result::Result::Error(error) => panic!("{error:?}"),
    };
    assert_eq!((results.len(), position(0), position(2), position(3)), (4, 1, 2, 1));
    let Some(v1::enqueue_result::Result::Error(error)) = &results[1].result else {
        panic!("{results:?}")
    };
    assert_eq!((error.reason(), error.field.as_str()), (ErrorReason::InvalidArgument, "client_id"));
    for size in [0, 1001] {
        let requests = vec![entry("x"); size];
        let status = client.enqueue_batch(v1::EnqueueBatchRequest { requests }).await.unwrap_err();
        assert_eq!(status.get_details_error_info().unwrap().metadata["field"], "requests");
    }
    worker.drain().await;
}

#[tokio::test]
async fn a_watcher_sees_every_step_to_the_end_and_the_stream_closes() {
    let world = World::new("stock=1").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let worker = world.worker("w").await;
    let mut client = connect(&worker).await;
    for who in ["first", "anna"] {
        enqueue(&mut client, who, "r").await.unwrap();
    }
    let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: "anna".into() };
    let mut stream = client.watch_status(request).await.unwrap().into_inner();
    let mut next = async || {
        let message =
            tokio::time::timeout(support::LIMIT, stream.message()).await.unwrap().unwrap();
        message.map(|m| m.booking.unwrap())
    };
    let found = next().await.unwrap();
    assert_eq!((found.state(), found.position), (BookingState::Queued, 2));
    cancel(&mut client, "first").await.unwrap();
    let moved = next().await.unwrap();
    assert_eq!((moved.state(), moved.position), (BookingState::Queued, 1));
    world.store.set_admission(Admission::Open).await.unwrap();
    let mut seen = Vec::new();
    while let Some(booking) = next().await {
        seen.push(booking.state());
        if booking.state() == BookingState::Reserved {
            assert!(!booking.reservation_id.is_empty());
            pay(&mut client, "anna", "p").await.unwrap();
        }
    }
    assert_eq!(seen.last(), Some(&BookingState::Confirmed), "{seen:?}");
    assert!(seen.contains(&BookingState::Reserved), "{seen:?}");
    worker.drain().await;
}

#[tokio::test]
async fn requests_over_the_limit_are_refused_with_a_time_to_retry() {
    let world = World::new("stock=1").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let limits = ServerLimits { watches: 1, ..ServerLimits::default() };
    let worker = world.worker_with(WorkerConfig { limits, ..world.config("w") }).await;
    let mut client = connect(&worker).await;
    enqueue(&mut client, "anna", "r").await.unwrap();
    let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: "anna".into() };
    let open = client.watch_status(request.clone()).await.unwrap();
    let refused = client.watch_status(request.clone()).await.unwrap_err();
    assert_eq!(reason(&refused), ErrorReason::Overloaded);
    assert!(refused.get_details_retry_info().unwrap().retry_delay.is_some());
    drop(open);
    support::eventually("the limit has room again", || {
        let (mut client, request) = (client.clone(), request.clone());
        async move { client.watch_status(request).await.is_ok() }
    })
    .await;
    worker.drain().await;
}

#[tokio::test]
async fn health_follows_the_worker_and_streams_end_when_it_drains() {
    let world = World::new("stock=1").await;
    world.store.set_admission(Admission::Paused).await.unwrap();
    let config = WorkerConfig {
        linger: Duration::from_secs(2),
        admin: Some(support::local()),
        ..world.config("w")
    };
    let worker = world.worker_with(config).await;
    let mut client = connect(&worker).await;
    let channel = Channel::from_shared(format!("http://{}", worker.grpc_addr())).unwrap();
    let health = HealthClient::new(channel.connect().await.unwrap());
    let serving = |wanted: ServingStatus| {
        let health = health.clone();
        async move {
            support::eventually("health", || {
                let mut health = health.clone();
                async move {
                    let service = SERVICE_NAME.to_owned();
                    let request = tonic_health::pb::HealthCheckRequest { service };
                    health.check(request).await.unwrap().into_inner().status() == wanted
                }
            })
            .await;
        }
    };
    serving(ServingStatus::Serving).await;
    enqueue(&mut client, "anna", "r").await.unwrap();
    let request = v1::WatchStatusRequest { queue: "concert".into(), client_id: "anna".into() };
    let mut stream = client.watch_status(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let draining = tokio::spawn(worker.drain());
    serving(ServingStatus::NotServing).await;
    // Endpoints lag: the port still serves.
    assert!(enqueue(&mut client, "berta", "r").await.is_ok());
    let end = tokio::time::timeout(support::LIMIT, stream.message()).await.unwrap().unwrap_err();
    assert_eq!(end.code(), tonic::Code::Unavailable);
    draining.await.unwrap();
}

#[tokio::test]
async fn with_mutual_tls_only_a_known_client_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (certificate, key) = issue("localhost");
    let tls = ServerTls {
        identity: Identity {
            certificate: write("tls.crt", &certificate),
            key: write("tls.key", &key),
        },
        client_ca: Some(write("ca.crt", &issuer_pem)),
    };
    let world = World::new("stock=1").await;
    let worker = world.worker_with(WorkerConfig { tls: Some(tls), ..world.config("w") }).await;
    let endpoint = format!("https://localhost:{}", worker.grpc_addr().port());
    let trust = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&issuer_pem));
    let connect = |tls: ClientTlsConfig| {
        let endpoint = Channel::from_shared(endpoint.clone()).unwrap().tls_config(tls).unwrap();
        async move { endpoint.connect().await.map(Client::new) }
    };
    let (certificate, key) = issue("gateway");
    let known = trust.clone().identity(tonic::transport::Identity::from_pem(certificate, key));
    let mut client = connect(known).await.unwrap();
    assert!(enqueue(&mut client, "anna", "r").await.is_ok());
    // With TLS 1.3 the client learns of the refusal with its first call at the latest.
    match connect(trust).await {
        Err(_) => {}
        Ok(mut stranger) => assert!(enqueue(&mut stranger, "berta", "r").await.is_err()),
    }
    worker.drain().await;
}

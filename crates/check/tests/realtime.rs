//! The checks of a Realtime Service, against one that conforms and against some that do not.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bookingq_check::realtime::{CASES, RealtimeResult, RealtimeSubject};
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_server::{RealtimeService, RealtimeServiceServer};
use bookingq_sim::realtime::RealtimeSim;
use bookingq_sim::spec::ServiceSpec;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// How a service of others breaks the contract.
#[derive(Clone, Copy)]
enum Defect {
    /// Does not count repeated updates.
    CountsOnce,
    /// Refuses what it has had before.
    RefusesRepeats,
    /// Does not answer calls without updates.
    Silent,
}

struct Defective {
    defect: Defect,
    seen: Mutex<HashSet<(u64, u64)>>,
}

#[tonic::async_trait]
impl RealtimeService for Defective {
    async fn publish(
        &self,
        request: Request<Streaming<v1::PublishRequest>>,
    ) -> Result<Response<v1::PublishResponse>, Status> {
        let mut messages = request.into_inner();
        let (mut received, mut new) = (0, 0);
        while let Some(message) = messages.message().await? {
            received += message.updates.len() as u64;
            let mut seen = self.seen.lock().unwrap();
            let unseen = |update: &&v1::BookingUpdate| {
                seen.insert((update.sequence_ms, update.sequence_number))
            };
            new += message.updates.iter().filter(unseen).count() as u64;
        }
        match self.defect {
            Defect::RefusesRepeats if new < received => Err(Status::already_exists("seen before")),
            Defect::Silent if received == 0 => std::future::pending().await,
            Defect::CountsOnce => Ok(Response::new(v1::PublishResponse { received: new })),
            _ => Ok(Response::new(v1::PublishResponse { received })),
        }
    }
}

async fn defective(defect: Defect) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = RealtimeServiceServer::new(Defective { defect, seen: Mutex::default() });
    let server = Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    address
}

async fn check(address: SocketAddr, timeout: Duration) -> Vec<RealtimeResult> {
    let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let subject = RealtimeSubject { channel, queue: "conformance".to_owned(), timeout };
    let mut reported = 0;
    let results = subject.check(|_| reported += 1).await;
    assert_eq!((reported, results.len()), (CASES.len(), CASES.len()));
    results
}

/// What a service failed at, and why.
fn problems(results: &[RealtimeResult]) -> Vec<(&str, &str)> {
    results
        .iter()
        .filter_map(|result| Some((result.case.publishes, result.problem.as_deref()?)))
        .collect()
}

#[tokio::test]
async fn the_simulated_realtime_service_conforms() {
    let sim = RealtimeSim::start(ServiceSpec::default(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    let results = check(sim.address(), Duration::from_secs(10)).await;
    assert_eq!(problems(&results), []);
    let totals = sim.backend().deliveries().totals();
    assert!(totals.updates > 4096, "{totals:?}");
    assert!(totals.repeats >= 552, "{totals:?}");
    // The late batch, and the one client of both epochs, whose epoch the simulated service ignores.
    assert_eq!(totals.out_of_order, 21, "{totals:?}");
}

#[tokio::test]
async fn a_service_that_counts_or_accepts_only_new_updates_fails_where_they_are_repeated() {
    for (defect, why) in [
        (Defect::CountsOnce, "`received` is 0, but 20 updates were sent"),
        (Defect::RefusesRepeats, "answered AlreadyExists (seen before)"),
    ] {
        let results = check(defective(defect).await, Duration::from_secs(10)).await;
        let found = problems(&results);
        let (repeated, problem) = found[0];
        assert_eq!(repeated, "a batch three times, as after lost answers");
        assert!(problem.starts_with(why), "{problem}");
        assert!(found.len() < 4, "{found:?}");
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_fails() {
    let start = Instant::now();
    let results = check(defective(Defect::Silent).await, Duration::from_secs(2)).await;
    let found = problems(&results);
    let publishes: Vec<_> = found.iter().map(|(publishes, _)| *publishes).collect();
    let expected = [
        "a tick of an empty line",
        "128 items that are closed, open again or sold out",
        "a message without news, and a call without messages",
    ];
    assert_eq!(publishes, expected);
    assert!(found[0].1.starts_with("no answer within 2s"), "{found:?}");
    assert!(start.elapsed() >= Duration::from_secs(6));
}

#[tokio::test]
async fn without_a_service_every_check_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let absent = listener.local_addr().unwrap();
    drop(listener);
    let results = check(absent, Duration::from_secs(2)).await;
    let found = problems(&results);
    assert_eq!(found.len(), CASES.len());
    assert!(found[0].1.contains("refused"), "{found:?}");
}

//! The simulated services over real sockets, with each fault.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use bookingq_proto::v1::booking_service_client::BookingServiceClient;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use bookingq_proto::v1::ticket_service_client::TicketServiceClient;
use bookingq_proto::v1::{self, confirm_response, reserve_response};
use bookingq_sim::ledger::LedgerState;
use bookingq_sim::share::Share;
use bookingq_sim::spec::{BookingSpec, Faults, Refusals, ServiceSpec};
use bookingq_sim::{
    BookingSim, RealtimeSim, SimError, Simulator, SimulatorConfig, TicketServiceSim,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn channel(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

async fn booking_service(spec: &str) -> (BookingSim, BookingServiceClient<Channel>) {
    let sim = BookingSim::start(spec.parse::<BookingSpec>().unwrap(), ANY_PORT).await.unwrap();
    let client = BookingServiceClient::new(channel(sim.address()));
    (sim, client)
}

fn reserve(number: u32) -> v1::ReserveRequest {
    v1::ReserveRequest {
        booking_id: format!("b{number}"),
        queue: "concert".into(),
        client_id: format!("c{number}"),
        quantity: 1,
        attempt: 1,
        ..Default::default()
    }
}

fn confirm(number: u32) -> v1::ConfirmRequest {
    v1::ConfirmRequest { booking_id: format!("b{number}"), ..Default::default() }
}

fn release(number: u32) -> v1::ReleaseRequest {
    v1::ReleaseRequest {
        booking_id: format!("b{number}"),
        queue: "concert".into(),
        client_id: format!("c{number}"),
        ..Default::default()
    }
}

/// With a deadline that caller and service know.
fn within<T>(ms: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(ms));
    request
}

fn reservation(response: tonic::Response<v1::ReserveResponse>) -> Option<String> {
    match response.into_inner().outcome.unwrap() {
        reserve_response::Outcome::Reserved(reserved) => Some(reserved.reservation_id),
        _ => None,
    }
}

fn is_deadline(status: &tonic::Status) -> bool {
    // Which of the two it is depends on whose timer fires first.
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

#[tokio::test]
async fn a_booking_is_reserved_once_confirmed_once_and_read_back() {
    let (sim, mut client) = booking_service("stock=10").await;
    let first = reservation(client.reserve(reserve(1)).await.unwrap()).unwrap();
    let second = reservation(client.reserve(reserve(1)).await.unwrap()).unwrap();
    assert_eq!(first, second);
    for _ in 0..2 {
        let answer = client.confirm(confirm(1)).await.unwrap().into_inner().outcome.unwrap();
        assert!(matches!(answer, confirm_response::Outcome::Confirmed(_)));
    }
    let entry = sim.ledger().entry("b1").unwrap().clone();
    assert_eq!((entry.state, entry.reservations), (LedgerState::Confirmed, 1));
    assert_eq!((entry.calls.reserve, entry.calls.confirm), (2, 2));
    assert_eq!(&*entry.client_id, "c1");
    sim.shutdown().await;
}

#[tokio::test]
async fn a_reserve_after_its_release_is_rejected() {
    let (_sim, mut client) = booking_service("stock=10").await;
    client.release(release(1)).await.unwrap();
    let answer = client.reserve(reserve(1)).await.unwrap().into_inner().outcome.unwrap();
    assert!(matches!(answer, reserve_response::Outcome::Rejected(_)), "{answer:?}");
    let answer = client.confirm(confirm(1)).await.unwrap().into_inner().outcome.unwrap();
    assert!(matches!(answer, confirm_response::Outcome::Rejected(_)), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_calls_never_sell_more_than_the_stock() {
    let (sim, client) = booking_service("stock=50,latency=1ms,jitter=5ms").await;
    let calls = (0..200).map(|number| {
        let mut client = client.clone();
        tokio::spawn(async move {
            reservation(client.reserve(reserve(number)).await.unwrap()).is_some()
        })
    });
    let mut reserved = 0;
    for call in calls.collect::<Vec<_>>() {
        reserved += u64::from(call.await.unwrap());
    }
    let totals = sim.ledger().totals();
    assert_eq!(
        (reserved, totals.held, totals.available, totals.sold_out_bookings),
        (50, 50, 0, 150)
    );
}

#[tokio::test]
async fn bad_requests_are_refused_and_leave_no_trace() {
    let (sim, mut client) = booking_service("stock=10").await;
    let nameless = v1::ReserveRequest { booking_id: String::new(), ..reserve(1) };
    assert_eq!(client.reserve(nameless).await.unwrap_err().code(), Code::InvalidArgument);
    for quantity in [0, -1] {
        let empty = v1::ReserveRequest { quantity, ..reserve(1) };
        assert_eq!(client.reserve(empty).await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert!(sim.ledger().copy().entries.is_empty());
}

#[tokio::test]
async fn an_error_means_that_the_call_had_no_effect() {
    let (sim, mut client) = booking_service("stock=10,errors=100%").await;
    for number in 0..20 {
        let status = client.reserve(reserve(number)).await.unwrap_err();
        assert!(matches!(status.code(), Code::Internal | Code::Unavailable), "{status:?}");
    }
    assert_eq!(sim.ledger().totals().calls.reserve, 0);
}

#[tokio::test]
async fn a_call_whose_reply_is_lost_took_effect_and_a_repeat_shows_it() {
    let (sim, mut client) = booking_service("stock=10,lost_replies=100%").await;
    let (mut silent, mut loud) = (0, 0);
    for number in 0..10 {
        let status = client.reserve(within(100, reserve(number))).await.unwrap_err();
        silent += u32::from(is_deadline(&status));
        loud += u32::from(status.code() == Code::Unavailable);
    }
    assert_eq!(silent + loud, 10);
    assert!(silent > 0 && loud > 0, "{silent} silent, {loud} loud");
    assert_eq!(sim.ledger().totals().held, 10);
    sim.injector().set_faults(Faults::default());
    let repeated = reservation(client.reserve(reserve(3)).await.unwrap());
    assert_eq!(repeated.as_deref(), sim.ledger().entry("b3").unwrap().reservation_id.as_deref());
}

#[tokio::test]
async fn a_slow_reserve_takes_effect_even_if_its_caller_gave_up() {
    let (sim, mut client) = booking_service("stock=10,latency=300ms").await;
    let status = client.reserve(within(50, reserve(1))).await.unwrap_err();
    assert!(is_deadline(&status), "{status:?}");
    assert_eq!(sim.ledger().totals().held, 0);
    tokio::time::timeout(Duration::from_secs(5), async {
        while sim.ledger().totals().held == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn refusals_are_the_same_for_every_repeat() {
    let (sim, mut client) = booking_service("stock=1000,rejects=50%,confirm_rejects=50%").await;
    let (mut rejected, mut unconfirmed) = (0, 0);
    for number in 0..100 {
        let first = client.reserve(reserve(number)).await.unwrap().into_inner();
        assert_eq!(client.reserve(reserve(number)).await.unwrap().into_inner(), first);
        if matches!(first.outcome, Some(reserve_response::Outcome::Rejected(_))) {
            rejected += 1;
            continue;
        }
        let first = client.confirm(confirm(number)).await.unwrap().into_inner();
        assert_eq!(client.confirm(confirm(number)).await.unwrap().into_inner(), first);
        unconfirmed +=
            u64::from(matches!(first.outcome, Some(confirm_response::Outcome::Rejected(_))));
    }
    assert!((25..75).contains(&rejected), "{rejected} of 100 were rejected");
    assert!(unconfirmed > 5, "{unconfirmed} were not confirmed");
    let totals = sim.ledger().totals();
    assert_eq!((totals.rejected_bookings, totals.held_bookings), (rejected, unconfirmed));

    sim.backend().set_refusals(Refusals { rejects: Share::ALL, ..Refusals::default() });
    assert!(reservation(client.reserve(reserve(1000)).await.unwrap()).is_none());
}

#[tokio::test]
async fn a_pause_holds_calls_until_resumed() {
    let (sim, mut client) = booking_service("stock=10").await;
    client.reserve(reserve(1)).await.unwrap();
    sim.injector().pause();
    assert!(is_deadline(&client.reserve(within(100, reserve(2))).await.unwrap_err()));
    let waiting = tokio::spawn({
        let mut client = client.clone();
        async move { client.reserve(reserve(3)).await }
    });
    sim.injector().resume();
    assert!(reservation(waiting.await.unwrap().unwrap()).is_some());
    assert!(sim.ledger().entry("b3").is_some());
}

#[tokio::test]
async fn a_shut_down_service_frees_its_port_even_if_calls_hang() {
    let (sim, mut client) = booking_service("stock=10").await;
    let address = sim.address();
    sim.injector().pause();
    let hanging = tokio::spawn(async move { client.reserve(reserve(1)).await });
    tokio::time::timeout(Duration::from_secs(5), sim.shutdown()).await.unwrap();
    hanging.await.unwrap().unwrap_err();
    BookingSim::start(BookingSpec::default(), address).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (sim, _client) = booking_service("stock=1").await;
    let error = BookingSim::start(BookingSpec::default(), sim.address()).await.unwrap_err();
    assert!(error.to_string().contains(&sim.address().to_string()), "{error}");
}

#[tokio::test]
async fn each_item_has_its_stock_and_the_answers_say_what_is_left() {
    let (sim, mut client) = booking_service("items=A:3,B:1,returns=A:2@1h").await;
    let ask = |number, item: &str, quantity| v1::ReserveRequest {
        item: item.to_owned(),
        quantity,
        ..reserve(number)
    };
    let mut answers = Vec::new();
    for request in [ask(1, "A", 2), ask(2, "A", 2), ask(3, "B", 1), ask(4, "B", 1)] {
        answers.push(match client.reserve(request).await.unwrap().into_inner().outcome.unwrap() {
            reserve_response::Outcome::Reserved(reserved) => (true, reserved.left, 0),
            reserve_response::Outcome::SoldOut(out) => (false, out.left, out.held_elsewhere),
            reserve_response::Outcome::Rejected(rejected) => panic!("{rejected:?}"),
        });
    }
    let expected =
        [(true, Some(1), 0), (false, Some(1), 2), (true, Some(0), 0), (false, Some(0), 0)];
    assert_eq!(answers, expected);
    client.release(release(1)).await.unwrap();
    assert!(reservation(client.reserve(ask(2, "A", 2)).await.unwrap()).is_some());
    let ledger = sim.ledger();
    assert_eq!((ledger.available("A"), ledger.available("B")), (1, 0));
}

#[tokio::test]
async fn a_service_may_lie_and_keep_its_counts_to_itself() {
    let (sim, mut client) = booking_service("stock=10,lies=50%,counts=off,returns=5@1h").await;
    let (mut refused, mut reserved) = (0, 0);
    while reserved < 10 {
        match client.reserve(reserve(reserved)).await.unwrap().into_inner().outcome.unwrap() {
            reserve_response::Outcome::Reserved(v1::Reserved { left: None, .. }) => reserved += 1,
            reserve_response::Outcome::SoldOut(v1::SoldOut { left: None, held_elsewhere: 0 }) => {
                refused += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 0, "half of the calls are refused, and a repeat may succeed");
    assert_eq!(sim.ledger().items()[""].lies, refused);
}

#[tokio::test(start_paused = true)]
async fn other_channels_give_back_and_sell_at_their_time() {
    let (sim, _client) = booking_service("items=A:5,returns=A:3@20s,sales=A:100@40s").await;
    let left_after = async |seconds| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        sim.ledger().available("A")
    };
    assert_eq!((left_after(19).await, left_after(2).await, left_after(20).await), (5, 8, 0));
}

#[tokio::test]
async fn the_ticket_service_reports_the_same_stock() {
    let (sim, mut client) = booking_service("items=A:2").await;
    let tickets = TicketServiceSim::start(ServiceSpec::default(), sim.backend().clone(), ANY_PORT)
        .await
        .unwrap();
    let mut window = TicketServiceClient::new(channel(tickets.address()));
    let ask = |quantity| v1::CheckAvailabilityRequest {
        item: "A".into(),
        quantity,
        ..Default::default()
    };
    assert!(window.check_availability(ask(2)).await.unwrap().into_inner().available);
    client.reserve(v1::ReserveRequest { item: "A".into(), ..reserve(1) }).await.unwrap();
    let answer = window.check_availability(ask(2)).await.unwrap().into_inner();
    assert_eq!((answer.available, answer.remaining), (false, 1));
    sim.backend().set_refusals(Refusals { ticket_lies: Share::ALL, ..Refusals::default() });
    assert!(window.check_availability(ask(2)).await.unwrap().into_inner().available, "a lie");
    assert!(!window.check_availability(ask(1)).await.unwrap().into_inner().available, "a lie");
    tickets.injector().set_faults(Faults { errors: Share::ALL, ..Faults::default() });
    assert!(window.check_availability(ask(1)).await.is_err());
}

fn batch(number: u64, state: v1::BookingState) -> v1::PublishRequest {
    v1::PublishRequest {
        queue: "concert".into(),
        updates: vec![v1::BookingUpdate {
            sequence_ms: 5,
            sequence_number: number,
            client_id: "c1".into(),
            booking_id: "b1".into(),
            queue_number: 1,
            state: state.into(),
            ..Default::default()
        }],
        tick: Some(v1::QueueTick { backlog: number, ..Default::default() }),
        ..v1::PublishRequest::default()
    }
}

#[tokio::test]
async fn the_realtime_service_records_the_updates_of_each_client() {
    let sim = RealtimeSim::start(ServiceSpec::default(), ANY_PORT).await.unwrap();
    let mut client = RealtimeServiceClient::new(channel(sim.address()));
    let batches = vec![batch(1, v1::BookingState::Queued), batch(2, v1::BookingState::Reserving)];
    let answer = client.publish(tokio_stream::iter(batches)).await.unwrap().into_inner();
    assert_eq!(answer.received, 2);
    let record = sim.backend().deliveries().client("c1").unwrap().clone();
    assert_eq!((record.sequence, record.updates, record.missing), ((5, 2), 2, 0));
    assert_eq!(sim.backend().deliveries().tick().unwrap().backlog, 2);
}

#[tokio::test]
async fn an_update_whose_reply_is_lost_comes_again_as_a_repeat() {
    let spec: ServiceSpec = "lost_replies=100%".parse().unwrap();
    let sim = RealtimeSim::start(spec, ANY_PORT).await.unwrap();
    let mut client = RealtimeServiceClient::new(channel(sim.address()));
    let batches = || tokio_stream::iter(vec![batch(1, v1::BookingState::Queued)]);
    client.publish(within(200, batches())).await.unwrap_err();
    sim.backend().injector().set_faults(Faults::default());
    client.publish(batches()).await.unwrap();
    let totals = sim.backend().deliveries().totals();
    assert_eq!((totals.updates, totals.repeats, totals.out_of_order, totals.missing), (1, 1, 0, 0));
}

#[tokio::test]
async fn all_services_run_together_and_answer_health_checks() {
    let simulator = Simulator::start(SimulatorConfig::local()).await.unwrap();
    for (address, service) in [
        (simulator.booking.as_ref().unwrap().address(), "bookingqueue.v1.BookingService"),
        (simulator.ticket_service.as_ref().unwrap().address(), "bookingqueue.v1.TicketService"),
        (simulator.realtime.as_ref().unwrap().address(), "bookingqueue.v1.RealtimeService"),
    ] {
        use tonic_health::pb::health_check_response::ServingStatus;
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel(address));
        let request = tonic_health::pb::HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_service_describes_itself_to_tools() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let (sim, _client) = booking_service("stock=1").await;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..Default::default()
    };
    let mut tool = ServerReflectionClient::new(channel(sim.address()));
    let answers = tool.server_reflection_info(tokio_stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.contains(&"bookingqueue.v1.BookingService".to_owned()), "{names:?}");
    assert!(
        !names.contains(&"bookingqueue.v1.TicketService".to_owned()),
        "only what is served here: {names:?}"
    );
}

#[tokio::test]
async fn a_ticket_service_without_a_booking_service_is_refused() {
    let config = SimulatorConfig { booking: None, ..SimulatorConfig::local() };
    let error = Simulator::start(config).await.unwrap_err();
    assert!(matches!(error, SimError::TicketServiceWithoutBooking), "{error}");
}

//! The worker that gateways follow: a line that moves at an even pace, without a store, so that
//! only the gateways are measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bookingq_core::Timestamp;
use bookingq_proto::convert::timestamp;
use bookingq_proto::v1;
use bookingq_proto::v1::booking_worker_service_server::{
    BookingWorkerService, BookingWorkerServiceServer,
};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::BroadcastStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Name of the queue.
pub(super) const QUEUE: &str = "concert";
/// What every client wants.
const ITEM: &str = "stalls";
/// Identifies the data.
const EPOCH: &str = "bench";
/// Between two messages with news.
const STEP: Duration = Duration::from_millis(20);
const STEPS_PER_SECOND: u64 = 50;
/// Exact front places of a tick; behind them as many boundaries again, spread by ratio.
const EXACT: u64 = 64;

/// The wall clock in ms: the store's clock of this line.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// A line of clients `client-1`, `client-2`, …, whose queue numbers are theirs.
pub(super) struct MovingLine {
    address: SocketAddr,
    state: Arc<LineOfClients>,
    _tasks: JoinSet<()>,
}

struct LineOfClients {
    clients: u64,
    /// Numbers up to this one have left.
    left: AtomicU64,
    /// Clients that leave in each second.
    pace: AtomicU64,
    /// The time of the ticks; 0: the time of their reading.
    frozen: AtomicU64,
    /// Clients whose bookings were asked for.
    asked: AtomicU64,
    /// Calls that did so.
    calls: AtomicU64,
    messages: broadcast::Sender<v1::PublishRequest>,
}

impl MovingLine {
    /// A line that stands still; its ticks are never new.
    pub(super) fn start(clients: u64) -> Result<Self> {
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let incoming = incoming.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        let state = Arc::new(LineOfClients {
            clients,
            left: AtomicU64::new(0),
            pace: AtomicU64::new(0),
            frozen: AtomicU64::new(now_ms()),
            asked: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            messages: broadcast::channel(4096).0,
        });
        let service = BookingWorkerServiceServer::new(LineWorker(Arc::clone(&state)));
        let serve = Server::builder().add_service(service).serve_with_incoming(incoming);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // A gateway that is not answered fails the run.
            let _ = serve.await;
        });
        tasks.spawn(move_on(Arc::clone(&state)));
        Ok(Self { address, state, _tasks: tasks })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ticks are new from now on, and this many clients leave each second.
    pub(super) fn set_pace(&self, pace: u64) {
        self.state.frozen.store(0, Relaxed);
        self.state.pace.store(pace, Relaxed);
    }

    /// How many have left the front.
    pub(super) fn left(&self) -> u64 {
        self.state.left.load(Relaxed)
    }

    /// Clients whose bookings gateways have read so far, and the calls.
    pub(super) fn asked(&self) -> (u64, u64) {
        (self.state.asked.load(Relaxed), self.state.calls.load(Relaxed))
    }

    /// Closes or opens the item: news for every client.
    pub(super) fn change_item(&self, sold_out: bool) {
        let availability = if sold_out {
            v1::ItemAvailability::SoldOutAtTheMoment
        } else {
            v1::ItemAvailability::Open
        };
        let item = v1::ItemStatus {
            item: ITEM.to_owned(),
            availability: availability.into(),
            sold_out_from: i32::from(sold_out),
            ..Default::default()
        };
        let _ = self.state.messages.send(v1::PublishRequest { items: vec![item], ..message() });
    }
}

fn message() -> v1::PublishRequest {
    let (queue, epoch) = (QUEUE.to_owned(), EPOCH.to_owned());
    v1::PublishRequest { queue, epoch, ..Default::default() }
}

/// Moves the front, and sends news and ticks to all gateways.
async fn move_on(line: Arc<LineOfClients>) {
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut step, mut owed) = (0u64, 0);
    loop {
        steps.tick().await;
        step += 1;
        owed += line.pace.load(Relaxed);
        let leave = owed / STEPS_PER_SECOND;
        owed %= STEPS_PER_SECOND;
        let first = line.left.fetch_add(leave, Relaxed) + 1;
        let ms = now_ms();
        let mut sent = message();
        sent.updates = (first..first + leave).map(|number| update(number, ms)).collect();
        if let Some(last) = sent.updates.last() {
            (sent.through_ms, sent.through_number) = (ms, last.sequence_number);
        }
        if step.is_multiple_of(STEPS_PER_SECOND) {
            sent.tick = Some(line.tick());
        }
        if !sent.updates.is_empty() || sent.tick.is_some() {
            // Without a gateway there is no receiver.
            let _ = line.messages.send(sent);
        }
    }
}

fn update(number: u64, ms: u64) -> v1::BookingUpdate {
    v1::BookingUpdate {
        sequence_ms: ms,
        sequence_number: number,
        client_id: format!("client-{number}"),
        booking_id: booking_id(number),
        queue_number: number,
        state: v1::BookingState::Reserving.into(),
        ..Default::default()
    }
}

fn booking_id(number: u64) -> String {
    format!("018f3b1c-0000-7000-8000-{number:012}")
}

impl LineOfClients {
    fn waiting(&self) -> u64 {
        self.clients.saturating_sub(self.left.load(Relaxed))
    }

    fn tick(&self) -> v1::QueueTick {
        let (left, waiting) = (self.left.load(Relaxed), self.waiting());
        let ratio = (waiting.max(EXACT) as f64 / EXACT as f64).powf(1.0 / EXACT as f64);
        let behind = (1..EXACT).map(|step| (EXACT as f64 * ratio.powi(step as i32)) as u64);
        let mut positions: Vec<u64> =
            (1..=EXACT).chain(behind).filter(|position| *position <= waiting).collect();
        positions.dedup();
        let boundary = |position| v1::Boundary { queue_number: left + position, position };
        let at = match self.frozen.load(Relaxed) {
            0 => now_ms(),
            frozen => frozen,
        };
        v1::QueueTick {
            at: Some(timestamp(Timestamp(at))),
            now_serving: left + 1,
            backlog: waiting,
            boundaries: positions.into_iter().map(boundary).collect(),
            epoch: EPOCH.to_owned(),
            admission: v1::Admission::Open.into(),
            etas: [1, waiting].map(eta).into(),
            ..Default::default()
        }
    }

    fn booking(&self, client: &str) -> Option<v1::Booking> {
        let number: u64 = client.strip_prefix("client-")?.parse().ok()?;
        let position = number.saturating_sub(self.left.load(Relaxed));
        let state =
            if position > 0 { v1::BookingState::Queued } else { v1::BookingState::Reserving };
        Some(v1::Booking {
            queue: QUEUE.to_owned(),
            client_id: client.to_owned(),
            booking_id: booking_id(number),
            state: state.into(),
            queue_number: number,
            position,
            item: ITEM.to_owned(),
            quantity: 1,
            ..Default::default()
        })
    }
}

fn eta(position: u64) -> v1::EtaPoint {
    let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let expected = (position / 500) as i64;
    let range = v1::EtaRange { low: seconds(expected / 2), high: seconds(expected * 2 + 5) };
    v1::EtaPoint { position, eta: seconds(expected), range: Some(range) }
}

struct LineWorker(Arc<LineOfClients>);

type Sent<T> = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

macro_rules! line_service {
    ($($unused:ident: $request:ident => $response:ty,)*) => {
        #[tonic::async_trait]
        impl BookingWorkerService for LineWorker {
            type WatchStatusStream = tokio_stream::Empty<Result<v1::WatchStatusResponse, Status>>;
            type FollowQueueStream = Sent<v1::PublishRequest>;

            async fn follow_queue(
                &self,
                _: Request<v1::FollowQueueRequest>,
            ) -> Result<Response<Self::FollowQueueStream>, Status> {
                let next = BroadcastStream::new(self.0.messages.subscribe());
                let first = v1::PublishRequest { tick: Some(self.0.tick()), ..message() };
                let lagged = |error| Status::data_loss(format!("{error}"));
                let next = next.map(move |one| one.map_err(lagged));
                Ok(Response::new(Box::pin(tokio_stream::once(Ok(first)).chain(next))))
            }

            async fn get_status_batch(
                &self,
                request: Request<v1::GetStatusBatchRequest>,
            ) -> Result<Response<v1::GetStatusBatchResponse>, Status> {
                let clients = request.into_inner().client_ids;
                self.0.asked.fetch_add(clients.len() as u64, Relaxed);
                self.0.calls.fetch_add(1, Relaxed);
                let now = Some(timestamp(Timestamp(now_ms())));
                let result =
                    |client: &String| v1::GetStatusResult { booking: self.0.booking(client) };
                let results = clients.iter().map(result).collect();
                let epoch = EPOCH.to_owned();
                Ok(Response::new(v1::GetStatusBatchResponse { results, epoch, now }))
            }

            $(async fn $unused(
                &self,
                _: Request<v1::$request>,
            ) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not measured here"))
            })*
        }
    };
}

line_service! {
    enqueue: EnqueueRequest => v1::EnqueueResponse,
    enqueue_batch: EnqueueBatchRequest => v1::EnqueueBatchResponse,
    get_status: GetStatusRequest => v1::GetStatusResponse,
    watch_status: WatchStatusRequest => Self::WatchStatusStream,
    cancel: CancelRequest => v1::CancelResponse,
    confirm_payment: ConfirmPaymentRequest => v1::ConfirmPaymentResponse,
    get_queue: GetQueueRequest => v1::GetQueueResponse,
    set_outflow: SetOutflowRequest => v1::SetOutflowResponse,
    restocked: RestockedRequest => v1::RestockedResponse,
}

//! `gateway-clients`: many WebSockets in a process of its own, each a browser as far as the gateway
//! can see: it answers pings, and connects again when it was cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bookingq_core::{BookingId, ClientId, QueueName, QueueNumber, Timestamp};
use bookingq_crowd::latency::{Latency, LatencySummary};
use bookingq_identity::{KeyRing, PlaceClaims};
use futures::StreamExt as _;
use parking_lot::Mutex;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::line::{QUEUE, now_ms};
use crate::child::ReportingChild;

/// Handshakes at once, at the start.
const OPENING: usize = 128;
const CONNECT: Duration = Duration::from_secs(20);

/// How to connect.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[arg(long)]
    connect: SocketAddr,
    /// Number of the first client
    #[arg(long)]
    first: u64,
    /// Clients
    #[arg(long)]
    count: u64,
    /// Folder of the keys; without it, the server greets no client
    #[arg(long)]
    keys: Option<PathBuf>,
}

/// What the clients have seen since they were last asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ClientsReport {
    /// Connected, and greeted.
    pub(super) open: u64,
    /// Time until the last of them was greeted, in seconds.
    pub(super) last_hello: f64,
    /// Hellos with another position than the line's.
    pub(super) wrong: u64,
    pub(super) hellos: u64,
    /// Hellos with a position.
    pub(super) in_line: u64,
    pub(super) ticks: u64,
    pub(super) news: LatencySummary,
    pub(super) items: LatencySummary,
    /// Ends of connections by the second.
    pub(super) ends: Vec<u64>,
}

/// A line of standard input: what to do before the next report.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum ClientsOrder {
    /// Forget what was seen. The front of the line is `left` numbers from its beginning.
    Reset {
        /// Numbers that have left.
        left: u64,
        /// Whether it stands still, so that positions can be checked.
        still: bool,
    },
    /// Report.
    Report,
}

struct Seen {
    since: Mutex<Instant>,
    left: AtomicU64,
    still: AtomicU64,
    open: AtomicU64,
    wrong: AtomicU64,
    hellos: AtomicU64,
    in_line: AtomicU64,
    ticks: AtomicU64,
    slow: Mutex<SeenTimes>,
}

#[derive(Default)]
struct SeenTimes {
    last_hello: f64,
    news: Latency,
    items: Latency,
    ends: Vec<u64>,
}

/// Starts the process and waits until all its clients are connected.
pub(super) async fn start(
    address: SocketAddr,
    first: u64,
    count: u64,
    keys: Option<&Path>,
) -> Result<(ReportingChild, ClientsReport)> {
    let program = std::env::current_exe()?.into_os_string();
    let mut words: Vec<std::ffi::OsString> = vec![program, "gateway-clients".into()];
    for (flag, value) in [
        ("--connect", address.to_string()),
        ("--first", first.to_string()),
        ("--count", count.to_string()),
    ] {
        words.extend([flag.into(), value.into()]);
    }
    if let Some(keys) = keys {
        words.extend(["--keys".into(), keys.into()]);
    }
    let mut child = ReportingChild::start("the clients", &words)?;
    let report = child.report().await?;
    Ok((child, report))
}

/// Connects all clients, and reports until standard input ends.
pub fn run(args: &Args) -> Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let seen = Arc::new(Seen {
            since: Mutex::new(Instant::now()),
            left: AtomicU64::new(0),
            still: AtomicU64::new(1),
            open: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            hellos: AtomicU64::new(0),
            in_line: AtomicU64::new(0),
            ticks: AtomicU64::new(0),
            slow: Mutex::default(),
        });
        let opening = Arc::new(Semaphore::new(OPENING));
        let keys = args.keys.as_deref().map(KeyRing::load).transpose()?.map(Arc::new);
        for number in args.first..args.first + args.count {
            let (seen, opening) = (Arc::clone(&seen), Arc::clone(&opening));
            let client = OneClient { number, address: args.connect, keys: keys.clone(), seen };
            tokio::spawn(client.run(opening));
        }
        while seen.open.load(Relaxed) < args.count {
            sleep(Duration::from_millis(20)).await;
        }
        println!("{}", serde_json::to_string(&seen.report())?);
        let mut orders = BufReader::new(tokio::io::stdin()).lines();
        while let Some(line) = orders.next_line().await? {
            match serde_json::from_str(&line).with_context(|| format!("an order: {line}"))? {
                ClientsOrder::Reset { left, still } => seen.reset(left, still),
                ClientsOrder::Report => println!("{}", serde_json::to_string(&seen.report())?),
            }
        }
        Ok(())
    })
}

impl Seen {
    fn elapsed(&self) -> Duration {
        self.since.lock().elapsed()
    }

    fn reset(&self, left: u64, still: bool) {
        *self.since.lock() = Instant::now();
        self.left.store(left, Relaxed);
        self.still.store(u64::from(still), Relaxed);
        for counter in [&self.wrong, &self.hellos, &self.in_line, &self.ticks] {
            counter.store(0, Relaxed);
        }
        *self.slow.lock() = SeenTimes::default();
    }

    fn report(&self) -> ClientsReport {
        let slow = self.slow.lock();
        ClientsReport {
            open: self.open.load(Relaxed),
            last_hello: slow.last_hello,
            wrong: self.wrong.load(Relaxed),
            hellos: self.hellos.load(Relaxed),
            in_line: self.in_line.load(Relaxed),
            ticks: self.ticks.load(Relaxed),
            news: slow.news.summary(),
            items: slow.items.summary(),
            ends: slow.ends.clone(),
        }
    }

    fn greeted(&self, number: u64, hello: &str) {
        self.hellos.fetch_add(1, Relaxed);
        let position = after(hello, "\"position\":");
        self.in_line.fetch_add(u64::from(position.is_some()), Relaxed);
        // A client that has left the line has no position.
        let expected = number.checked_sub(self.left.load(Relaxed)).filter(|place| *place > 0);
        if self.still.load(Relaxed) == 1 && position != expected {
            self.wrong.fetch_add(1, Relaxed);
        }
        self.slow.lock().last_hello = self.elapsed().as_secs_f64();
    }

    fn ended(&self) {
        let second = self.elapsed().as_secs() as usize;
        let mut slow = self.slow.lock();
        if slow.ends.len() <= second {
            slow.ends.resize(second + 1, 0);
        }
        slow.ends[second] += 1;
    }
}

struct OneClient {
    number: u64,
    address: SocketAddr,
    keys: Option<Arc<KeyRing>>,
    seen: Arc<Seen>,
}

type Socket = WebSocketStream<TcpStream>;

impl OneClient {
    /// Connects again and again.
    async fn run(self, opening: Arc<Semaphore>) {
        let mut permit = opening.acquire_owned().await.ok();
        let mut failures = 0;
        loop {
            let connected = timeout(CONNECT, self.connect()).await;
            let mut pause = None;
            if let Ok(Ok(mut socket)) = connected {
                let mut greeted = self.keys.is_none();
                if greeted {
                    self.seen.open.fetch_add(1, Relaxed);
                    permit = None;
                }
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else { continue };
                    match text.get(..9) {
                        Some(r#"{"t":"hel"#) if !greeted => {
                            (greeted, failures) = (true, 0);
                            permit = None;
                            self.seen.open.fetch_add(1, Relaxed);
                            self.seen.greeted(self.number, &text);
                        }
                        Some(r#"{"t":"bye"#) => pause = after(&text, "\"after\":[0,"),
                        Some(start) => self.seen(start, &text),
                        None => {}
                    }
                }
                if greeted {
                    self.seen.open.fetch_sub(1, Relaxed);
                    self.seen.ended();
                }
                let _ = socket.close(None).await;
            } else {
                failures += 1;
            }
            drop(permit.take());
            // Full jitter, as the page does it; what the gateway says wins.
            let longest = 1000 * 2u64.pow(failures).min(30);
            let pause = rand::rng().random_range(0..=pause.unwrap_or(longest));
            sleep(Duration::from_millis(pause)).await;
        }
    }

    fn seen(&self, start: &str, text: &str) {
        match start {
            s if s.starts_with(r#"{"t":"k""#) => {
                self.seen.ticks.fetch_add(1, Relaxed);
            }
            s if s.starts_with(r#"{"t":"b""#) => {
                let sent = after(text, "\"id\":\"").unwrap_or_default();
                let latency = Duration::from_millis(now_ms().saturating_sub(sent));
                self.seen.slow.lock().news.record(latency);
            }
            s if s.starts_with(r#"{"t":"i""#) => {
                let latency = self.seen.elapsed();
                self.seen.slow.lock().items.record(latency);
            }
            _ => {}
        }
    }

    /// The place token that the gateway would have given.
    fn token(&self, keys: &KeyRing) -> Result<String> {
        let now = Timestamp(now_ms());
        let claims = PlaceClaims {
            queue: QueueName::new(QUEUE)?,
            client: ClientId::new(&format!("client-{}", self.number))?,
            booking: BookingId::from_u128(u128::from(self.number)),
            number: QueueNumber::new(self.number),
            epoch: String::new(),
            return_url: None,
            expires_at: now + Duration::from_secs(3600),
        };
        Ok(claims.sign(keys, now)?)
    }

    async fn connect(&self) -> Result<Socket> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let url = format!("ws://{}/v1/queues/concert/socket", self.address);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("bq1"));
        if let Some(keys) = &self.keys {
            let token = self.token(keys)?;
            headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
        }
        let mut config = WebSocketConfig::default();
        (config.read_buffer_size, config.write_buffer_size) = (512, 0);
        let (socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        Ok(socket)
    }
}

/// The whole number that follows `key`.
fn after(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

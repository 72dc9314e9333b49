//! `gateway-clients`: many connections in a process of their own. Each is a browser as far as the
//! gateway can see: it answers pings, and connects again when it was cut.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bookingq_core::{BookingId, ClientId, QueueName, QueueNumber, Timestamp};
use bookingq_crowd::latency::{Latency, LatencySummary};
use bookingq_identity::{KeyRing, PlaceClaims};
use clap::ValueEnum as _;
use parking_lot::Mutex;
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::line::{QUEUE, now_ms};
use super::link::{ClientLink, Dialer, LinkKind};
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
    /// Folder of keys and certificate; without it, clients have no places
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What they open
    #[arg(long, value_enum, default_value_t = LinkKind::Websocket)]
    kind: LinkKind,
    /// Read nothing
    #[arg(long)]
    unread: bool,
}

/// A process of clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientsPlan<'a> {
    pub(super) address: SocketAddr,
    pub(super) first: u64,
    pub(super) count: u64,
    pub(super) folder: Option<&'a Path>,
    pub(super) kind: LinkKind,
    pub(super) unread: bool,
}

impl<'a> ClientsPlan<'a> {
    /// With WebSockets.
    pub(super) fn new(
        address: SocketAddr,
        first: u64,
        count: u64,
        folder: Option<&'a Path>,
    ) -> Self {
        Self { address, first, count, folder, kind: LinkKind::Websocket, unread: false }
    }
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
pub(super) async fn start(plan: &ClientsPlan<'_>) -> Result<(ReportingChild, ClientsReport)> {
    let program = std::env::current_exe()?.into_os_string();
    let mut words: Vec<std::ffi::OsString> = vec![program, "gateway-clients".into()];
    let kind = plan.kind.to_possible_value().context("a kind without a name")?;
    for (flag, value) in [
        ("--connect", plan.address.to_string()),
        ("--first", plan.first.to_string()),
        ("--count", plan.count.to_string()),
        ("--kind", kind.get_name().to_owned()),
    ] {
        words.extend([flag.into(), value.into()]);
    }
    if let Some(folder) = plan.folder {
        words.extend(["--folder".into(), folder.into()]);
    }
    if plan.unread {
        words.push("--unread".into());
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
        let folder = args.folder.as_deref();
        let keys = folder.map(|folder| KeyRing::load(&folder.join("keys"))).transpose()?;
        let keys = keys.map(Arc::new);
        let dialer = Arc::new(Dialer::new(args.connect, args.kind, args.unread, folder)?);
        for number in args.first..args.first + args.count {
            let (seen, opening) = (Arc::clone(&seen), Arc::clone(&opening));
            let client =
                OneClient { number, dialer: Arc::clone(&dialer), keys: keys.clone(), seen };
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
    dialer: Arc<Dialer>,
    keys: Option<Arc<KeyRing>>,
    seen: Arc<Seen>,
}

impl OneClient {
    /// Connects again and again.
    async fn run(self, opening: Arc<Semaphore>) {
        let mut permit = opening.acquire_owned().await.ok();
        let mut failures = 0;
        loop {
            let connected = timeout(CONNECT, self.connect()).await;
            let mut pause = None;
            if let Ok(Ok(mut link)) = connected {
                let mut greeted = self.is_silent();
                if greeted {
                    self.seen.open.fetch_add(1, Relaxed);
                    permit = None;
                }
                if self.dialer.unread {
                    std::future::pending::<()>().await;
                }
                while let Some(text) = link.next().await {
                    match text.get(..9) {
                        Some(r#"{"t":"hel"#) if !greeted => {
                            (greeted, failures) = (true, 0);
                            permit = None;
                            self.seen.open.fetch_add(1, Relaxed);
                            self.seen.greeted(self.number, &text);
                        }
                        // Centrifugo answers the subscription, perhaps with more in one text.
                        Some(_) if !greeted && text.contains(r#"{"id":2,"subscribe""#) => {
                            greeted = true;
                            permit = None;
                            self.seen.open.fetch_add(1, Relaxed);
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
                link.close().await;
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
            s if s.starts_with(r#"{"t":"i""#) || s.starts_with(r#"{"push":"#) => {
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

    /// Whether no greeting is expected.
    fn is_silent(&self) -> bool {
        let bare = self.keys.is_none() && self.dialer.kind == LinkKind::Websocket;
        bare || self.dialer.unread
    }

    async fn connect(&self) -> Result<ClientLink> {
        let token = self.keys.as_ref().map(|keys| self.token(keys)).transpose()?;
        self.dialer.open(token.as_deref()).await
    }
}

/// The whole number that follows `key`.
fn after(text: &str, key: &str) -> Option<u64> {
    let (_, rest) = text.split_once(key)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

//! All that runs: Redis, workers, the sweeper, the Booking Service, and a proxy on every connection
//! between them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use bookingq_core::QueueName;
use bookingq_sim::BookingSim;
use bookingq_sim::booking::Shop;
use bookingq_sim::share::Share;
use bookingq_sim::spec::{BookingSpec, Faults, Refusals};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::cage::{Cage, Recipe};
use crate::clocks::Clocks;
use crate::plan::{Blow, Fault, Link, Mood, Step, Who};
use crate::proxy::Proxy;
use crate::upset;

/// How long a client has to pay: short, so that a run sees many deadlines.
pub const HOLD: Duration = Duration::from_secs(3);
/// Longest wait for a port to open.
const OPENING: Duration = Duration::from_secs(20);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(20);
/// The queue's name.
const QUEUE: &str = "faults";

/// The whole scene.
#[derive(Debug)]
pub struct Scene {
    redis: SocketAddr,
    processes: BTreeMap<Who, Cage>,
    links: BTreeMap<Link, Proxy>,
    shop: BookingSim,
    clocks: Option<Clocks>,
}

/// What a scene is made from.
#[derive(Debug)]
pub struct Props<'a> {
    /// The program under test.
    pub program: &'a Path,
    /// Where logs and data go.
    pub folder: &'a Path,
    /// How many workers.
    pub workers: usize,
    /// Tickets to sell.
    pub stock: u64,
    /// For the Booking Service's chance.
    pub seed: u64,
}

/// The queue's name.
pub fn queue() -> Result<QueueName> {
    Ok(QueueName::new(QUEUE)?)
}

/// How the Booking Service behaves when nothing special is wrong: as any service does.
fn everyday() -> Faults {
    Faults {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(20),
        errors: Share::percent(1),
        lost_replies: Share::percent(1),
    }
}

fn everyday_refusals() -> Refusals {
    Refusals { rejects: Share::percent(2), confirm_rejects: Share::percent(2) }
}

impl Scene {
    /// Starts everything, and waits until all ports are open.
    pub async fn start(props: &Props<'_>) -> Result<Self> {
        let redis = free_port()?;
        let spec = BookingSpec {
            stock: props.stock,
            faults: everyday(),
            refusals: everyday_refusals(),
            keeps: None,
            seed: props.seed,
        };
        let shop = BookingSim::start(spec, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let mut scene = Self {
            redis,
            processes: BTreeMap::new(),
            links: BTreeMap::new(),
            shop,
            clocks: Clocks::find(props.folder, props.workers)?,
        };
        scene.open(Who::Redis, redis_server(redis, props)?)?;
        reachable(redis, "redis-server").await?;
        for number in 0..props.workers {
            scene.hire(number, props).await?;
        }
        let (to_redis, to_shop) =
            (scene.link(Link::SweeperRedis).await?, scene.link(Link::SweeperShop).await?);
        let arguments =
            words(&["sweep", "--queue", QUEUE, "--redis", &url("redis", to_redis), "--booking"]);
        let arguments = [arguments, words(&[&url("http", to_shop)]), processing()].concat();
        let recipe = Recipe {
            name: "sweeper".into(),
            program: props.program.to_owned(),
            arguments,
            environment: Vec::new(),
            log: props.folder.join("sweeper.log"),
        };
        scene.open(Who::Sweeper, recipe)?;
        Ok(scene)
    }

    /// Where Redis is, without a proxy: for those who judge.
    pub fn redis(&self) -> String {
        url("redis", self.redis)
    }

    /// Where clients find the workers, each behind its proxy.
    pub fn doors(&self) -> Vec<SocketAddr> {
        let clients = self.links.iter().filter(|(link, _)| matches!(link, Link::Clients(_)));
        clients.map(|(_, proxy)| proxy.address()).collect()
    }

    /// The Booking Service's ledger.
    pub fn shop(&self) -> &Shop {
        self.shop.shop()
    }

    /// Every process.
    pub fn processes(&self) -> impl Iterator<Item = &Cage> {
        self.processes.values()
    }

    /// Whether clocks can be changed here.
    pub fn has_clocks(&self) -> bool {
        self.clocks.is_some()
    }

    /// Does what the plan says now. What lasts ends by itself; a Booking Service's mood is ended by
    /// [`Self::calm`].
    pub fn suffer(&self, step: &Step) {
        let time = Duration::from_millis(step.lasts_ms);
        match step.fault {
            Fault::Process(who, blow) => {
                if let Some(cage) = self.processes.get(&who) {
                    match blow {
                        Blow::Kill => cage.strike(Signal::KILL),
                        Blow::Term => cage.strike(Signal::TERM),
                        Blow::Stop => cage.freeze(time),
                    }
                }
            }
            Fault::Network(link, trouble) => {
                if let Some(proxy) = self.links.get(&link) {
                    proxy.trouble(trouble, time);
                }
            }
            Fault::Redis(upset) => upset::upset(self.redis(), upset, time),
            Fault::Shop(mood) => self.upset(mood, time),
            Fault::Clock(worker, seconds) => {
                if let Some(clocks) = &self.clocks {
                    clocks.set(worker, seconds);
                }
            }
        }
    }

    /// The Booking Service is as on any other day.
    pub fn calm(&self) {
        self.shop().conduct().set_faults(everyday());
        self.shop().set_refusals(everyday_refusals());
    }

    /// Nothing is wrong any more.
    pub async fn heal(&self) {
        self.calm();
        self.shop.resume();
        for proxy in self.links.values() {
            proxy.heal();
        }
        for cage in self.processes.values() {
            cage.thaw();
        }
        upset::heal(&self.redis()).await;
    }

    /// Ends everything: those who call first.
    pub async fn close(self) {
        let Self { mut processes, links, shop, .. } = self;
        let redis = processes.remove(&Who::Redis);
        futures::future::join_all(processes.into_values().map(Cage::close)).await;
        if let Some(redis) = redis {
            redis.close().await;
        }
        drop(links);
        shop.shutdown().await;
    }

    fn upset(&self, mood: Mood, time: Duration) {
        match mood {
            Mood::Out => self.shop.pause_for(time),
            Mood::Failing(percent) => {
                let share = Share::percent(percent);
                self.shop().conduct().set_faults(Faults {
                    errors: share,
                    lost_replies: share,
                    ..everyday()
                });
            }
            Mood::Slow(milliseconds) => {
                let latency = Duration::from_millis(milliseconds);
                self.shop().conduct().set_faults(Faults { latency, ..everyday() });
            }
            Mood::Refusing(percent) => {
                let share = Share::percent(percent);
                self.shop().set_refusals(Refusals { rejects: share, confirm_rejects: share });
            }
        }
    }

    async fn hire(&mut self, number: usize, props: &Props<'_>) -> Result<()> {
        let listen = free_port()?;
        self.links.insert(Link::Clients(number), Proxy::start(listen).await?);
        let redis = url("redis", self.link(Link::WorkerRedis(number)).await?);
        let shop = url("http", self.link(Link::WorkerShop(number)).await?);
        let own = [
            "worker",
            "--queue",
            QUEUE,
            "--redis",
            &redis,
            "--booking",
            &shop,
            "--listen",
            &listen.to_string(),
        ]
        .map(OsString::from);
        let leaving = words(&["--linger", "200ms", "--grace", "4s", "--outbox-entries", "4000000"]);
        let recipe = Recipe {
            name: format!("worker-{number}"),
            program: props.program.to_owned(),
            arguments: [own.to_vec(), leaving, processing()].concat(),
            environment: self
                .clocks
                .as_ref()
                .map(|clocks| clocks.environment(number))
                .unwrap_or_default(),
            log: props.folder.join(format!("worker-{number}.log")),
        };
        self.open(Who::Worker(number), recipe)?;
        reachable(listen, "a worker").await
    }

    fn open(&mut self, who: Who, recipe: Recipe) -> Result<()> {
        self.processes.insert(who, Cage::open(recipe)?);
        Ok(())
    }

    /// A proxy to Redis or to the shop.
    async fn link(&mut self, link: Link) -> Result<SocketAddr> {
        let target = match link {
            Link::WorkerRedis(_) | Link::SweeperRedis => self.redis,
            _ => self.shop.address(),
        };
        let proxy = Proxy::start(target).await?;
        let address = proxy.address();
        self.links.insert(link, proxy);
        Ok(address)
    }
}

/// Short times, so that a run sees each of them pass many times.
fn processing() -> Vec<OsString> {
    let hold = humantime::format_duration(HOLD).to_string();
    words(&[
        "--hold",
        &hold,
        "--lease",
        "2s",
        "--retry-initial",
        "50ms",
        "--retry-max",
        "1s",
        "--redis-deadline",
        "1s",
        "--booking-timeout",
        "1s",
    ])
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn url(scheme: &str, address: SocketAddr) -> String {
    format!("{scheme}://{address}")
}

/// Every write is on the disk before it is answered.
fn redis_server(port: SocketAddr, props: &Props<'_>) -> Result<Recipe> {
    let data = props.folder.join("redis");
    std::fs::create_dir_all(&data)?;
    let mut arguments = words(&["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]);
    arguments.extend(words(&["--appendfsync", "always", "--maxmemory-policy", "noeviction"]));
    arguments.extend(words(&[
        "--zset-max-listpack-entries",
        "0",
        "--port",
        &port.port().to_string(),
        "--dir",
    ]));
    arguments.push(data.into_os_string());
    Ok(Recipe {
        name: "redis".into(),
        program: PathBuf::from("redis-server"),
        arguments,
        environment: Vec::new(),
        log: props.folder.join("redis.log"),
    })
}

/// A port of this computer that nobody uses at this moment.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

async fn reachable(address: SocketAddr, what: &str) -> Result<()> {
    let open = async {
        while TcpStream::connect(address).await.is_err() {
            sleep(LOOK).await;
        }
    };
    if timeout(OPENING, open).await.is_err() {
        bail!("{what} did not open {address} within {OPENING:?}; its log says why");
    }
    Ok(())
}

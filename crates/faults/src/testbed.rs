//! The testbed of a run: Redis, workers, the sweeper, gateways, the Booking Service, and a proxy on
//! every connection between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bookingq_core::QueueName;
use bookingq_core::backoff::Backoff;
use bookingq_crowd::GatewayAccess;
use bookingq_harness::port::free_address;
use bookingq_harness::{Process, ProcessSpec, Restart, Signal};
use bookingq_identity::KeyRing;
use bookingq_sim::ledger::LedgerCopy;
use bookingq_sim::share::Share;
use bookingq_sim::spec::{BookingSpec, Faults, Refusals, ServiceSpec};
use bookingq_sim::{BookingSim, TicketServiceSim};
use bookingq_store::Store;
use tokio::sync::watch;

use crate::clocks::Clocks;
use crate::gateways::{self, GatewayPorts};
use crate::kinds::{FaultSignal, FaultTarget};
use crate::plan::{Fault, FaultStep, FaultyLink, PlanOptions, ServiceFault};
use crate::proxy::Proxy;
use crate::releases::Releases;
use crate::sale::{Sale, StockOptions};
use crate::servers::StoreServers;

/// The time to pay: short, so that a run sees many deadlines.
pub const HOLD: Duration = Duration::from_secs(3);
/// Longest wait for the port of a worker.
const START: Duration = Duration::from_secs(20);
/// Restarts like a kubelet, only faster.
const RESTART: Restart = Restart::Always(Backoff {
    initial: Duration::from_millis(200),
    max: Duration::from_millis(200),
});
/// All of a run, because the checker reads it.
const OUTBOX_ENTRIES: usize = 4_000_000;
const QUEUE: &str = "faults";

/// Everything that runs.
#[derive(Debug)]
pub struct Testbed {
    servers: StoreServers,
    processes: BTreeMap<FaultTarget, Process>,
    links: BTreeMap<FaultyLink, Proxy>,
    booking: BookingSim,
    tickets: TicketServiceSim,
    clocks: Option<Clocks>,
    /// The keys of the gateways and of their clients.
    keys: Arc<KeyRing>,
}

/// The settings of a run.
#[derive(Debug)]
pub struct RunSettings {
    /// The options of the plan.
    pub plan_options: PlanOptions,
    /// The number of clients.
    pub bookings: u32,
    /// The replicas that must have what is acknowledged.
    pub acknowledge_replicas: u8,
    /// What they can have.
    pub stock: StockOptions,
    /// The program under test, maybe in two releases.
    pub releases: Releases,
    /// The folder of logs, data and histories.
    pub folder: PathBuf,
}

/// The queue's name.
pub fn queue() -> Result<QueueName> {
    Ok(QueueName::new(QUEUE)?)
}

/// Starts the servers of the store.
pub(crate) async fn start_servers(settings: &RunSettings) -> Result<StoreServers> {
    StoreServers::start(&settings.plan_options, &settings.folder, &queue()?, RESTART).await
}

/// The faults that any service has, also while none is injected.
fn background_faults() -> Faults {
    Faults {
        latency: Duration::from_millis(5),
        jitter: Duration::from_millis(20),
        errors: Share::percent(1),
        lost_replies: Share::percent(1),
    }
}

fn background_refusals() -> Refusals {
    Refusals {
        rejects: Share::percent(2),
        confirm_rejects: Share::percent(2),
        ..Refusals::default()
    }
}

impl Testbed {
    /// Starts everything and waits until it serves.
    pub(crate) async fn start(
        settings: &RunSettings,
        servers: StoreServers,
        sale: &Sale,
    ) -> Result<Self> {
        let PlanOptions { workers, gateways, seed, .. } = settings.plan_options;
        let spec = BookingSpec {
            items: sale.stock.clone(),
            returns: sale.returns.clone(),
            faults: background_faults(),
            refusals: background_refusals(),
            seed,
            ..BookingSpec::default()
        };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let booking = BookingSim::start(spec, any).await?;
        let tickets = ServiceSpec { faults: background_faults(), seed };
        let mut testbed = Self {
            clocks: match servers {
                StoreServers::Redis(_) => Clocks::find(&settings.folder, workers)?,
                StoreServers::Kafka(_) => None,
            },
            servers,
            processes: BTreeMap::new(),
            links: BTreeMap::new(),
            tickets: TicketServiceSim::start(tickets, booking.backend().clone(), any).await?,
            booking,
            keys: Arc::new(gateways::make_keys(&settings.folder)?),
        };
        let mut addresses = Vec::new();
        for number in 0..workers {
            addresses.push(testbed.add_worker(number, settings).await?);
        }
        for number in 0..gateways {
            testbed.add_gateway(number, settings, addresses.clone()).await?;
        }
        let store = testbed.store_for(FaultyLink::SweeperRedis, settings).await?;
        let booking = testbed.link(FaultyLink::SweeperService).await?;
        let sweeper = spec_of("sweep", "sweeper", settings, store, booking)?;
        testbed.processes.insert(FaultTarget::Sweeper, Process::start(sweeper)?);
        Ok(testbed)
    }

    /// The store without a proxy, for the checker.
    ///
    /// # Errors
    /// When the settings are invalid.
    pub fn store(&self) -> Result<Arc<dyn Store>> {
        Ok(bookingq_store::open(self.servers.config(queue()?, OUTBOX_ENTRIES))?)
    }

    /// The addresses of the workers for clients, each behind its proxy.
    pub fn endpoints(&self) -> Vec<SocketAddr> {
        self.addresses(|link| matches!(link, FaultyLink::Clients(_)))
    }

    /// What clients need to come through the gateways, and the public ports; `None` without any.
    /// Every port is behind its proxy.
    pub fn gateways(&self) -> Option<(GatewayAccess, Vec<SocketAddr>)> {
        let public = self.addresses(|link| matches!(link, FaultyLink::GatewayClients(_)));
        let backends = self.addresses(|link| matches!(link, FaultyLink::GatewayBackend(_)));
        // The receiver keeps the value when its sender is gone.
        let (_, backends) = watch::channel(backends);
        let access = GatewayAccess { backends, keys: Arc::clone(&self.keys) };
        (!public.is_empty()).then_some((access, public))
    }

    fn addresses(&self, which: fn(&FaultyLink) -> bool) -> Vec<SocketAddr> {
        let links = self.links.iter().filter(|(link, _)| which(link));
        links.map(|(_, proxy)| proxy.address()).collect()
    }

    /// The current ledger of the Booking Service.
    pub fn ledger(&self) -> LedgerCopy {
        self.booking.ledger().copy()
    }

    /// Every process.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        self.servers.processes().into_iter().chain(self.processes.values())
    }

    /// What a roll-out of another release replaces, in its order: workers, the sweeper, gateways.
    pub(crate) fn of_releases(&self) -> Vec<&Process> {
        self.processes.values().collect()
    }

    /// Faults of several servers, and of brokers, that were left out.
    pub fn left_out(&self) -> u64 {
        self.servers.left_out()
    }

    /// Whether the clocks of workers can be changed on this computer.
    pub fn has_clocks(&self) -> bool {
        self.clocks.is_some()
    }

    /// Injects the fault of a step. It ends by itself, except a fault of the Booking Service, which
    /// [`Self::clear_service_fault`] ends.
    pub fn inject(&self, step: &FaultStep) {
        let time = Duration::from_millis(step.lasts_ms);
        match step.fault {
            Fault::Process(target, signal) => self.signal(target, signal, time),
            Fault::Network(link, fault) => {
                if let Some(proxy) = self.links.get(&link) {
                    proxy.inject(fault, time);
                }
            }
            Fault::Redis(fault) => self.servers.inject(fault, time),
            Fault::Nodes(fault, pick) => self.servers.inject_into_nodes(fault, pick, time),
            Fault::Brokers(fault, pick) => self.servers.inject_into_brokers(fault, pick, time),
            Fault::Service(fault) => self.inject_into_service(fault, time),
            Fault::RedisClock(pick, seconds) => self.servers.jump(pick, seconds),
            Fault::Clock(worker, seconds) => {
                if let Some(clocks) = &self.clocks {
                    clocks.set(worker, seconds);
                }
            }
        }
    }

    /// Leaves both services with their background faults.
    pub fn clear_service_fault(&self) {
        self.booking.injector().set_faults(background_faults());
        self.booking.backend().set_refusals(background_refusals());
    }

    /// Ends all faults.
    pub async fn clear(&self) {
        self.clear_service_fault();
        self.booking.injector().resume();
        self.tickets.injector().resume();
        for proxy in self.links.values() {
            proxy.clear();
        }
        for process in self.processes() {
            process.signal(Signal::CONT);
        }
        self.servers.clear().await;
    }

    /// Stops everything, callers first.
    pub async fn stop(self) {
        let Self { servers, processes, links, booking, tickets, .. } = self;
        futures::future::join_all(processes.into_values().map(Process::stop)).await;
        servers.stop().await;
        drop(links);
        booking.shutdown().await;
        tickets.shutdown().await;
    }

    fn signal(&self, target: FaultTarget, signal: FaultSignal, time: Duration) {
        let process = match target {
            FaultTarget::Redis => self.servers.process(),
            other => self.processes.get(&other),
        };
        match (process, signal) {
            (None, _) => {}
            (Some(process), FaultSignal::Kill) => process.signal(Signal::KILL),
            (Some(process), FaultSignal::Term) => process.signal(Signal::TERM),
            (Some(process), FaultSignal::Stop) => process.freeze(time),
        }
    }

    fn inject_into_service(&self, fault: ServiceFault, time: Duration) {
        let set_faults = |faults| self.booking.injector().set_faults(faults);
        let set_refusals = |refusals| self.booking.backend().set_refusals(refusals);
        match fault {
            ServiceFault::Out => self.booking.injector().pause_for(time),
            ServiceFault::Failing(percent) => {
                let share = Share::percent(percent);
                set_faults(Faults { errors: share, lost_replies: share, ..background_faults() });
            }
            ServiceFault::Slow(milliseconds) => {
                let latency = Duration::from_millis(milliseconds);
                set_faults(Faults { latency, ..background_faults() });
            }
            ServiceFault::Refusing(percent) => {
                let share = Share::percent(percent);
                set_refusals(Refusals {
                    rejects: share,
                    confirm_rejects: share,
                    ..Refusals::default()
                });
            }
            ServiceFault::Lying(percent) => {
                set_refusals(Refusals { lies: Share::percent(percent), ..background_refusals() });
            }
            ServiceFault::TicketsOut => self.tickets.injector().pause_for(time),
            ServiceFault::TicketsLying(percent) => {
                let ticket_lies = Share::percent(percent);
                set_refusals(Refusals { ticket_lies, ..background_refusals() });
            }
        }
    }

    async fn add_worker(&mut self, number: usize, settings: &RunSettings) -> Result<SocketAddr> {
        let listen = free_address()?;
        self.links.insert(FaultyLink::Clients(number), Proxy::start(listen).await?);
        let store = self.store_for(FaultyLink::WorkerRedis(number), settings).await?;
        let booking = self.link(FaultyLink::WorkerService(number)).await?;
        let mut spec = spec_of("worker", &format!("worker-{number}"), settings, store, booking)?
            .arguments(["--listen".to_owned(), listen.to_string()])
            .arguments([format!("--ticket=http://{}", self.tickets.address())])
            .arguments(["--ticket-timeout=1s"])
            .arguments(["--linger", "200ms", "--grace", "4s"]);
        spec.port = Some(listen);
        if let Some(clocks) = &self.clocks {
            spec.environment = clocks.environment(number);
        }
        let worker = Process::start(spec)?;
        worker.wait_ready(START)?;
        self.processes.insert(FaultTarget::Worker(number), worker);
        Ok(listen)
    }

    async fn add_gateway(
        &mut self,
        number: usize,
        settings: &RunSettings,
        workers: Vec<SocketAddr>,
    ) -> Result<()> {
        let upstream = Proxy::start_balanced(workers).await?;
        let ports = GatewayPorts::free()?;
        let (name, workers) = (format!("gateway-{number}"), (QUEUE, upstream.address()));
        let (program, folder) = (settings.releases.program(&name)?, &*settings.folder);
        let mut spec = gateways::spec(&name, (&program, folder), ports, workers);
        spec.restart = RESTART;
        let gateway = Process::start(spec)?;
        gateway.wait_ready(START)?;
        self.processes.insert(FaultTarget::Gateway(number), gateway);
        let (public, backend) =
            (Proxy::start(ports.public).await?, Proxy::start(ports.backend).await?);
        self.links.insert(FaultyLink::GatewayClients(number), public);
        self.links.insert(FaultyLink::GatewayBackend(number), backend);
        self.links.insert(FaultyLink::GatewayWorkers(number), upstream);
        Ok(())
    }

    /// The arguments by which a process finds the store: through a proxy, if there is only one
    /// server. Several name each other.
    async fn store_for(&mut self, link: FaultyLink, settings: &RunSettings) -> Result<Vec<String>> {
        let proxy = match self.servers.only() {
            Some(server) => Some(self.proxy(link, server).await?),
            None => None,
        };
        Ok(self.servers.arguments(proxy, settings.acknowledge_replicas))
    }

    /// A proxy to the Booking Service.
    async fn link(&mut self, link: FaultyLink) -> Result<SocketAddr> {
        self.proxy(link, self.booking.address()).await
    }

    async fn proxy(&mut self, link: FaultyLink, target: SocketAddr) -> Result<SocketAddr> {
        let proxy = Proxy::start(target).await?;
        let address = proxy.address();
        self.links.insert(link, proxy);
        Ok(address)
    }
}

/// A process of the program under test. Its time limits are short, so that a run reaches each of
/// them many times.
fn spec_of(
    verb: &str,
    name: &str,
    settings: &RunSettings,
    store: Vec<String>,
    booking: SocketAddr,
) -> Result<ProcessSpec> {
    let hold = humantime::format_duration(HOLD);
    let mut spec = ProcessSpec::new(name, settings.releases.program(name)?).arguments([
        verb.to_owned(),
        format!("--queue={QUEUE}"),
        format!("--booking=http://{booking}"),
        format!("--hold={hold}"),
    ]);
    spec = spec.arguments(store);
    spec = spec.arguments(["--lease=2s", "--retry-initial=50ms", "--retry-max=1s"]);
    spec = spec.arguments(["--booking-timeout=1s"]);
    spec = spec.arguments([format!("--outbox-entries={OUTBOX_ENTRIES}")]);
    spec.log = Some(settings.folder.join(format!("{name}.log")));
    spec.restart = RESTART;
    Ok(spec)
}

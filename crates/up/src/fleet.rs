//! The workers of one queue: as many as wanted, started again when they die, each at its own port.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_api::args::WorkerArgs;
use bookingq_store::Store;
use bookingq_worker::config::WorkerConfig;
use bookingq_worker::{Worker, WorkerError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::UpError;
use crate::console::Console;
use crate::process::{self, BACKOFF, Life, Recipe, Turn, free_port};
use crate::services::Services;

/// What a worker process may take beyond its own grace, before it is killed.
const BEYOND_GRACE: Duration = Duration::from_secs(2);

/// Where workers run.
#[derive(Clone)]
pub enum Home {
    /// In this process, on its store.
    Here(Arc<dyn Store>),
    /// As processes of this program, on Redis.
    Processes {
        /// `bookingq`.
        program: PathBuf,
        /// Redis.
        url: String,
        /// For their logs.
        directory: PathBuf,
    },
}

/// The workers of one queue.
pub struct Fleet {
    home: Home,
    plan: Arc<Plan>,
    services: Arc<Services>,
    base_port: u16,
    slots: BTreeMap<u16, Slot>,
    door: Arc<Door>,
    console: Console,
}

/// One worker, or the place where one is started again and again.
struct Slot {
    leave: CancellationToken,
    task: JoinHandle<()>,
}

/// The addresses of the workers that are ready.
struct Door {
    ready: Mutex<BTreeMap<u16, SocketAddr>>,
    addresses: watch::Sender<Vec<SocketAddr>>,
}

impl Door {
    fn set(&self, index: u16, address: Option<SocketAddr>) {
        let mut ready = self.ready.lock();
        match address {
            Some(address) => ready.insert(index, address),
            None => ready.remove(&index),
        };
        self.addresses.send_replace(ready.values().copied().collect());
    }
}

impl Fleet {
    /// Without a worker yet; the first one gets `base_port`.
    ///
    /// # Errors
    /// When that port cannot be had.
    pub fn new(
        home: Home,
        plan: Arc<Plan>,
        services: Arc<Services>,
        base_port: u16,
        console: Console,
    ) -> Result<Self, UpError> {
        std::net::TcpListener::bind(("127.0.0.1", base_port))
            .map_err(|cause| UpError::Port { port: base_port, cause })?;
        let door =
            Arc::new(Door { ready: Mutex::default(), addresses: watch::Sender::new(Vec::new()) });
        Ok(Self { home, plan, services, base_port, slots: BTreeMap::new(), door, console })
    }

    /// Follows the addresses of the workers that are ready.
    pub fn addresses(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.door.addresses.subscribe()
    }

    /// Workers that are ready.
    pub fn ready(&self) -> usize {
        self.door.ready.lock().len()
    }

    /// From now on, this many. Those that are too many leave in order, newest first.
    pub fn resize(&mut self, wanted: u32) {
        self.slots.retain(|_, slot| !slot.task.is_finished());
        let staying: Vec<u16> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.leave.is_cancelled())
            .map(|(index, _)| *index)
            .collect();
        let wanted = wanted as usize;
        for index in staying.iter().skip(wanted) {
            self.slots[index].leave.cancel();
        }
        for _ in staying.len()..wanted {
            // A port is free again only when the worker before has left.
            let Some(index) = (0..u16::MAX).find(|index| !self.slots.contains_key(index)) else {
                return;
            };
            let slot = self.start(index);
            self.slots.insert(index, slot);
        }
    }

    /// All leave in order.
    pub async fn end(mut self) {
        for slot in self.slots.values() {
            slot.leave.cancel();
        }
        while let Some((_, slot)) = self.slots.pop_first() {
            // A slot that panicked has no worker either.
            let _ = slot.task.await;
        }
    }

    fn start(&self, index: u16) -> Slot {
        let leave = CancellationToken::new();
        let listen = self.listen(index);
        let name = format!("{} worker {index}", self.plan.queue);
        let task = match &self.home {
            Home::Here(store) => {
                let config = worker_config(&self.plan, &self.services, index, listen);
                let place = Place {
                    index,
                    name,
                    door: Arc::clone(&self.door),
                    console: self.console.clone(),
                    leave: leave.clone(),
                };
                tokio::spawn(place.serve(config, Arc::clone(store)))
            }
            Home::Processes { program, url, directory } => {
                // The port must be known before the process runs, so that it can be told to the
                // clients.
                let listen =
                    if listen.port() == 0 { free_port().unwrap_or(listen) } else { listen };
                let recipe = Recipe {
                    name: format!("{name} ({listen})"),
                    program: program.clone(),
                    arguments: worker_arguments(&self.plan, &self.services, index, listen),
                    environment: vec![("BOOKINGQ_REDIS", url.into())],
                    log: directory.join(format!("{}-worker-{index}.log", self.plan.queue)),
                    port: Some(listen),
                    grace: self.plan.worker.grace + BEYOND_GRACE,
                    life: Life::Endless,
                };
                let door = Arc::clone(&self.door);
                let watcher = move |turn| door.set(index, (turn == Turn::Up).then_some(listen));
                tokio::spawn(process::keep(recipe, self.console.clone(), leave.clone(), watcher))
            }
        };
        Slot { leave, task }
    }

    fn listen(&self, index: u16) -> SocketAddr {
        let port = if self.base_port == 0 { 0 } else { self.base_port.saturating_add(index) };
        SocketAddr::from(([127, 0, 0, 1], port))
    }
}

/// Where one worker runs in this process.
struct Place {
    index: u16,
    name: String,
    door: Arc<Door>,
    console: Console,
    leave: CancellationToken,
}

impl Place {
    /// Keeps a worker running until it is asked to leave.
    async fn serve(self, config: WorkerConfig, store: Arc<dyn Store>) {
        let mut deaths = 0;
        loop {
            let Some(error) = self.live(config.clone(), Arc::clone(&store)).await else { return };
            deaths += 1;
            let wait = BACKOFF.delay(deaths, rand::random());
            self.console.tell(format!(
                "{} failed: {error}; starting again in {:.1}s",
                self.name,
                wait.as_secs_f64()
            ));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.leave.cancelled() => return,
            }
        }
    }

    /// One life: `None` when it left in order.
    async fn live(&self, config: WorkerConfig, store: Arc<dyn Store>) -> Option<WorkerError> {
        let mut worker = match Worker::start(config, store).await {
            Ok(worker) => worker,
            Err(error) => return Some(error),
        };
        let address = worker.grpc_addr();
        self.console.tell(format!("{} started at {address}", self.name));
        self.door.set(self.index, Some(address));
        let failure = tokio::select! {
            () = self.leave.cancelled() => None,
            error = worker.failed() => Some(error),
        };
        self.door.set(self.index, None);
        if failure.is_none() {
            worker.drain().await;
            self.console.tell(format!("{} has left", self.name));
        } else {
            worker.kill();
        }
        failure
    }
}

/// A worker of this process.
fn worker_config(plan: &Plan, services: &Services, index: u16, listen: SocketAddr) -> WorkerConfig {
    WorkerConfig {
        concurrency: plan.worker.concurrency as usize,
        lease: plan.worker.lease,
        hold: plan.hold,
        retry: plan.retry,
        booking: services.booking.clone(),
        ticket: services.ticket.clone(),
        realtime: services.realtime.clone(),
        grace: plan.worker.grace,
        linger: plan.worker.linger,
        ..WorkerConfig::new(format!("{}-{index}", plan.queue), listen, String::new())
    }
}

/// The command line of the same worker as a process.
fn worker_arguments(
    plan: &Plan,
    services: &Services,
    index: u16,
    listen: SocketAddr,
) -> Vec<OsString> {
    let mut args = WorkerArgs::of(plan, listen);
    args.id = Some(format!("{}-{index}", plan.queue));
    args.booking.clone_from(&services.booking.endpoint);
    args.ticket = services.ticket.as_ref().map(|service| service.endpoint.clone());
    args.realtime = services.realtime.as_ref().map(|service| service.endpoint.clone());
    let json = ["--log-format", "json"].map(String::from);
    args.to_args().into_iter().chain(json).map(OsString::from).collect()
}

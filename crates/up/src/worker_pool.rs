//! The workers of one queue: as many as wanted, restarted when they end, each at its own port.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_api::args::WorkerArgs;
use bookingq_core::QueueName;
use bookingq_core::retry::Retry;
use bookingq_harness::port::free_address;
use bookingq_harness::{Process, ProcessEvent, ProcessSpec, Restart};
use bookingq_store::Store;
use bookingq_worker::config::WorkerConfig;
use bookingq_worker::{Worker, WorkerError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::error::UpError;
use crate::runner::{BACKOFF, Runner};

/// The workers of one queue.
pub struct WorkerPool {
    runner: Runner,
    queue: QueueName,
    /// The arguments of each worker, and what they mean; apart from its name and address.
    args: WorkerArgs,
    config: WorkerConfig,
    base_port: u16,
    slots: BTreeMap<u16, WorkerSlot>,
    ready: Arc<ReadyWorkers>,
    console: Console,
}

/// A worker, restarted until it is stopped.
struct WorkerSlot {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The addresses of the workers that are ready.
struct ReadyWorkers {
    by_slot: Mutex<BTreeMap<u16, SocketAddr>>,
    addresses: watch::Sender<Vec<SocketAddr>>,
}

impl ReadyWorkers {
    fn set(&self, slot: u16, address: Option<SocketAddr>) {
        let mut by_slot = self.by_slot.lock();
        match address {
            Some(address) => by_slot.insert(slot, address),
            None => by_slot.remove(&slot),
        };
        self.addresses.send_replace(by_slot.values().copied().collect());
    }
}

impl WorkerPool {
    /// Creates an empty pool. Its first worker gets `base_port`.
    ///
    /// # Errors
    /// When that port is taken, or the arguments do not fit together.
    pub fn new(
        runner: Runner,
        args: WorkerArgs,
        base_port: u16,
        console: Console,
    ) -> Result<Self, UpError> {
        std::net::TcpListener::bind(("127.0.0.1", base_port))
            .map_err(|cause| UpError::Port { port: base_port, cause })?;
        let addresses = watch::Sender::new(Vec::new());
        Ok(Self {
            runner,
            queue: args.queue.clone(),
            config: args.clone().try_into()?,
            args,
            base_port,
            slots: BTreeMap::new(),
            ready: Arc::new(ReadyWorkers { by_slot: Mutex::default(), addresses }),
            console,
        })
    }

    /// Follows the addresses of the workers that are ready.
    pub fn addresses(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.ready.addresses.subscribe()
    }

    /// The number of workers that are ready.
    pub fn ready(&self) -> usize {
        self.ready.by_slot.lock().len()
    }

    /// Starts or stops workers until there are `wanted`. Excess workers drain, newest first.
    pub fn resize(&mut self, wanted: u32) {
        self.slots.retain(|_, slot| !slot.task.is_finished());
        let staying: Vec<u16> = self
            .slots
            .iter()
            .filter(|(_, slot)| !slot.stop.is_cancelled())
            .map(|(index, _)| *index)
            .collect();
        let wanted = wanted as usize;
        for index in staying.iter().skip(wanted) {
            self.slots[index].stop.cancel();
        }
        for _ in staying.len()..wanted {
            // A port is free again only when its last worker has drained.
            let Some(index) = (0..u16::MAX).find(|index| !self.slots.contains_key(index)) else {
                return;
            };
            let slot = self.start(index);
            self.slots.insert(index, slot);
        }
    }

    /// Drains and stops all workers.
    pub async fn stop(mut self) {
        for slot in self.slots.values() {
            slot.stop.cancel();
        }
        while let Some((_, slot)) = self.slots.pop_first() {
            // A slot that panicked has no worker either.
            let _ = slot.task.await;
        }
    }

    fn start(&self, index: u16) -> WorkerSlot {
        let port = if self.base_port == 0 { 0 } else { self.base_port.saturating_add(index) };
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        let (id, stop) = (format!("{}-{index}", self.queue), CancellationToken::new());
        let worker = PoolWorker {
            index,
            name: format!("{} worker {index}", self.queue),
            ready: Arc::clone(&self.ready),
            console: self.console.clone(),
            stop: stop.clone(),
        };
        let task = match &self.runner {
            Runner::InProcess(store) => {
                let config = WorkerConfig { id, listen, ..self.config.clone() };
                tokio::spawn(worker.run(config, Arc::clone(store)))
            }
            Runner::Processes(own) => {
                // Clients must know the port, so it is chosen before the process starts.
                let listen = if port == 0 { free_address().unwrap_or(listen) } else { listen };
                let args = WorkerArgs { id: Some(id), listen, ..self.args.clone() };
                let (name, log) = (
                    format!("{} ({listen})", worker.name),
                    format!("{}-worker-{index}.log", self.queue),
                );
                let spec = ProcessSpec {
                    port: Some(listen),
                    restart: Restart::Always(BACKOFF),
                    ..own.spec(name, args.to_args(), &log, self.config.grace)
                };
                tokio::spawn(worker.supervise(spec, listen))
            }
        };
        WorkerSlot { stop, task }
    }
}

/// A worker of the pool.
struct PoolWorker {
    index: u16,
    name: String,
    ready: Arc<ReadyWorkers>,
    console: Console,
    stop: CancellationToken,
}

impl PoolWorker {
    /// Runs it as a process until it is stopped. If that cannot be started, the slot ends, and the
    /// next resize tries again.
    async fn supervise(self, spec: ProcessSpec, listen: SocketAddr) {
        let (index, ready) = (self.index, Arc::clone(&self.ready));
        let reporter = self.console.reporter(&spec.name);
        let on_event = move |event: ProcessEvent| {
            ready.set(index, (event == ProcessEvent::Ready).then_some(listen));
            reporter(event);
        };
        match Process::start_with(spec, on_event) {
            Ok(process) => {
                self.stop.cancelled().await;
                self.ready.set(index, None);
                process.stop().await;
            }
            Err(error) => self.console.report(error.to_string()),
        }
    }

    /// Runs it in this process until it is stopped.
    async fn run(self, config: WorkerConfig, store: Arc<dyn Store>) {
        let mut retry = Retry::forever(BACKOFF);
        while let Some(error) = self.serve(config.clone(), Arc::clone(&store)).await {
            self.console.report(format!("{} failed: {error}; restarting", self.name));
            if self.stop.run_until_cancelled(retry.wait()).await.is_none() {
                return;
            }
        }
    }

    /// Serves until it fails; `None` when it was stopped.
    async fn serve(&self, config: WorkerConfig, store: Arc<dyn Store>) -> Option<WorkerError> {
        let mut worker = match Worker::start(config, store).await {
            Ok(worker) => worker,
            Err(error) => return Some(error),
        };
        let address = worker.grpc_addr();
        self.console.report(format!("{} started at {address}", self.name));
        self.ready.set(self.index, Some(address));
        let failure = tokio::select! {
            () = self.stop.cancelled() => None,
            error = worker.failed() => Some(error),
        };
        self.ready.set(self.index, None);
        if failure.is_none() {
            worker.drain().await;
            self.console.report(format!("{} stopped", self.name));
        } else {
            worker.kill();
        }
        failure
    }
}

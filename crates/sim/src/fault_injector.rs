//! Injects the faults of a simulated service into its calls: latency, errors, lost replies, pauses.
//! They may change while the service runs.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Code, Status};

use crate::spec::{Faults, ServiceSpec};

/// How long a silent call stays open for a caller without a deadline.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PauseState {
    Running,
    PausedUntil(Instant),
    Paused,
}

/// The fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InjectedFault {
    None,
    /// The call fails and has no effect.
    Error,
    /// The call takes effect; its caller gets no reply until its own deadline.
    SilentLoss,
    /// The call takes effect; its caller gets UNAVAILABLE.
    LoudLoss,
}

/// The faults of one service, which may change while it runs.
#[derive(Debug)]
pub struct FaultInjector {
    faults: RwLock<Faults>,
    rng: Mutex<SmallRng>,
    pause: watch::Sender<PauseState>,
}

impl FaultInjector {
    /// Running, with the faults and the seed of `spec`.
    pub fn new(spec: ServiceSpec) -> Arc<Self> {
        Arc::new(Self {
            faults: RwLock::new(spec.faults),
            rng: Mutex::new(SmallRng::seed_from_u64(spec.seed)),
            pause: watch::Sender::new(PauseState::Running),
        })
    }

    /// The current faults.
    pub fn faults(&self) -> Faults {
        *self.faults.read()
    }

    /// Replaces the faults, from the next call on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.write() = faults;
    }

    /// Calls hang from now on, until [`Self::resume`] or their deadline.
    pub fn pause(&self) {
        self.pause.send_replace(PauseState::Paused);
    }

    /// Calls hang for `time`, until [`Self::resume`] or their deadline.
    pub fn pause_for(&self, time: Duration) {
        self.pause.send_replace(PauseState::PausedUntil(Instant::now() + time));
    }

    /// Lets calls through, those that hang too.
    pub fn resume(&self) {
        self.pause.send_replace(PauseState::Running);
    }

    /// Whether calls hang.
    pub fn is_paused(&self) -> bool {
        match *self.pause.borrow() {
            PauseState::Running => false,
            PauseState::Paused => true,
            PauseState::PausedUntil(end) => Instant::now() < end,
        }
    }

    /// Runs one call under the current faults; `work` is its effect, and quick.
    ///
    /// A call that has begun, which includes its latency, takes effect even if its caller goes
    /// away, as in a real service: that is how a Reserve succeeds after its caller gave up.
    ///
    /// # Errors
    /// INTERNAL or UNAVAILABLE, as the faults demand.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.wait_while_paused().await;
        let (fault, delay) = self.draw();
        if fault == InjectedFault::Error {
            sleep(delay).await;
            return Err(self.error());
        }
        let answer = if delay.is_zero() { work() } else { in_background(delay, work).await? };
        match fault {
            InjectedFault::None | InjectedFault::Error => return Ok(answer),
            InjectedFault::LoudLoss => {}
            InjectedFault::SilentLoss => sleep(SILENCE).await,
        }
        Err(Status::unavailable("simulated: the call took effect, but its reply was lost"))
    }

    async fn wait_while_paused(&self) {
        let mut pause = self.pause.subscribe();
        loop {
            let state = *pause.borrow_and_update();
            let changed = match state {
                PauseState::Running => return,
                PauseState::Paused => pause.changed().await,
                PauseState::PausedUntil(end) => tokio::select! {
                    () = sleep_until(end) => return,
                    changed = pause.changed() => changed,
                },
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn draw(&self) -> (InjectedFault, Duration) {
        let faults = self.faults();
        let mut rng = self.rng.lock();
        let delay = faults.latency + faults.jitter.mul_f64(rng.random());
        let fault = if faults.errors.takes(rng.random()) {
            InjectedFault::Error
        } else if !faults.lost_replies.takes(rng.random()) {
            InjectedFault::None
        } else if rng.random() {
            InjectedFault::SilentLoss
        } else {
            InjectedFault::LoudLoss
        };
        (fault, delay)
    }

    fn error(&self) -> Status {
        let code = if self.rng.lock().random() { Code::Internal } else { Code::Unavailable };
        Status::new(code, "simulated: the call had no effect")
    }
}

async fn in_background<T: Send + 'static>(
    delay: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    let task = tokio::spawn(async move {
        sleep(delay).await;
        work()
    });
    task.await.map_err(|_| Status::unavailable("the simulated service is shutting down"))
}

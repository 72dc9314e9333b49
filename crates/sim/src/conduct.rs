//! How a simulated service treats its callers just now: slow, failing, losing replies, paused.
//! Changed while it runs.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::Status;

use crate::spec::{Faults, ServiceSpec};

/// How long a caller without a deadline is left without an answer when its reply is "lost".
const SILENCE: Duration = Duration::from_secs(60);

/// Whether calls go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    ClosedUntil(Instant),
    Closed,
}

/// What is done with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing; an error is answered.
    Failed,
    /// All of it.
    Done(Reply),
}

/// What the caller hears of a call that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    /// The answer.
    Given,
    /// Nothing, until its own deadline.
    Silence,
    /// UNAVAILABLE.
    Unavailable,
}

/// The faults of one service, its chance, and its gate.
#[derive(Debug)]
pub struct Conduct {
    faults: RwLock<Faults>,
    chance: Mutex<SmallRng>,
    gate: watch::Sender<Gate>,
}

impl Conduct {
    /// Open, with the faults and the seed of `spec`.
    pub fn new(spec: ServiceSpec) -> Arc<Self> {
        Arc::new(Self {
            faults: RwLock::new(spec.faults),
            chance: Mutex::new(SmallRng::seed_from_u64(spec.seed)),
            gate: watch::Sender::new(Gate::Open),
        })
    }

    /// The faults now.
    pub fn faults(&self) -> Faults {
        *self.faults.read()
    }

    /// Other faults, from the next call on.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.write() = faults;
    }

    /// Calls hang from now on, until [`Self::resume`] or their deadline.
    pub fn pause(&self) {
        self.gate.send_replace(Gate::Closed);
    }

    /// Calls hang for this long, until [`Self::resume`] or their deadline.
    pub fn pause_for(&self, time: Duration) {
        self.gate.send_replace(Gate::ClosedUntil(Instant::now() + time));
    }

    /// Calls go through again, the hanging ones too.
    pub fn resume(&self) {
        self.gate.send_replace(Gate::Open);
    }

    /// Whether calls hang.
    pub fn is_paused(&self) -> bool {
        match *self.gate.borrow() {
            Gate::Open => false,
            Gate::Closed => true,
            Gate::ClosedUntil(end) => Instant::now() < end,
        }
    }

    /// Treats one call as the faults say; `work` is what the service would do, and is quick.
    ///
    /// Work that has begun (its latency included) goes on when the caller goes away, as in a real
    /// service: this is how a Reserve comes to be done after its caller gave up on it.
    ///
    /// # Errors
    /// INTERNAL or UNAVAILABLE as the faults say.
    pub async fn treat<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.wait_for_gate().await;
        let (fate, delay) = self.draw();
        let Fate::Done(reply) = fate else {
            sleep(delay).await;
            return Err(self.failure());
        };
        let answer = if delay.is_zero() { work() } else { in_background(delay, work).await? };
        match reply {
            Reply::Given => Ok(answer),
            Reply::Unavailable => {
                Err(Status::unavailable("simulated: done, but the reply was lost"))
            }
            Reply::Silence => {
                sleep(SILENCE).await;
                Err(Status::unavailable("simulated: done, but the reply was lost for a long time"))
            }
        }
    }

    async fn wait_for_gate(&self) {
        let mut gate = self.gate.subscribe();
        loop {
            let now = *gate.borrow_and_update();
            let changed = match now {
                Gate::Open => return,
                Gate::Closed => gate.changed().await,
                Gate::ClosedUntil(end) => tokio::select! {
                    () = sleep_until(end) => return,
                    changed = gate.changed() => changed,
                },
            };
            if changed.is_err() {
                return;
            }
        }
    }

    fn draw(&self) -> (Fate, Duration) {
        let faults = self.faults();
        let mut chance = self.chance.lock();
        let delay = faults.latency + faults.jitter.mul_f64(chance.random());
        let fate = if faults.errors.takes(chance.random()) {
            Fate::Failed
        } else if !faults.lost_replies.takes(chance.random()) {
            Fate::Done(Reply::Given)
        } else if chance.random() {
            Fate::Done(Reply::Silence)
        } else {
            Fate::Done(Reply::Unavailable)
        };
        (fate, delay)
    }

    fn failure(&self) -> Status {
        if self.chance.lock().random() {
            Status::internal("simulated: nothing was done")
        } else {
            Status::unavailable("simulated: nothing was done")
        }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicU32, Ordering};

    use tonic::Code;

    use super::*;
    use crate::share::Share;

    fn conduct(faults: Faults) -> Arc<Conduct> {
        Conduct::new(ServiceSpec { faults, seed: 3 })
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_comes_before_anything_is_done() {
        let conduct = conduct(Faults { errors: Share::ALL, ..Faults::default() });
        for _ in 0..20 {
            let status = conduct.treat(|| -> () { panic!("done") }).await.unwrap_err();
            assert!(matches!(status.code(), Code::Internal | Code::Unavailable), "{status:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_reply_is_lost_after_the_work_silently_or_loudly() {
        let conduct = conduct(Faults { lost_replies: Share::ALL, ..Faults::default() });
        let done = Arc::new(AtomicU32::new(0));
        let (mut silent, mut loud) = (0, 0);
        for _ in 0..40 {
            let done = done.clone();
            let call = conduct.treat(move || done.fetch_add(1, Ordering::Relaxed));
            match tokio::time::timeout(Duration::from_secs(1), call).await {
                Err(_deadline) => silent += 1,
                Ok(answer) => {
                    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
                    loud += 1;
                }
            }
        }
        assert_eq!(done.load(Ordering::Relaxed), 40);
        assert!(silent > 5 && loud > 5, "{silent} silent, {loud} loud");
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_has_begun_is_done_although_the_caller_left() {
        let conduct = conduct(Faults { latency: Duration::from_secs(2), ..Faults::default() });
        let (told, mut hears) = tokio::sync::mpsc::unbounded_channel();
        let call = conduct.treat(move || told.send(()));
        assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());
        assert!(hears.recv().await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_calls_until_resumed_or_over() {
        let conduct = conduct(Faults::default());
        conduct.pause();
        assert!(conduct.is_paused());
        assert!(tokio::time::timeout(Duration::from_secs(9), conduct.treat(|| ())).await.is_err());
        let waiting = tokio::spawn({
            let conduct = conduct.clone();
            async move { conduct.treat(|| ()).await }
        });
        conduct.resume();
        waiting.await.unwrap().unwrap();

        let start = Instant::now();
        conduct.pause_for(Duration::from_secs(30));
        conduct.treat(|| ()).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(30));
        assert!(!conduct.is_paused());
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_seed_gives_the_same_faults() {
        let faults = Faults {
            jitter: Duration::from_secs(1),
            errors: Share::percent(50),
            ..Faults::default()
        };
        let (one, other) = (conduct(faults), conduct(faults));
        for _ in 0..100 {
            assert_eq!(one.draw(), other.draw());
        }
    }
}

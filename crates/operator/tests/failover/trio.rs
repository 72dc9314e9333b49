//! Three real redis-servers, as the Pods of a queue start them, and a driver that looks after them.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bookingq_core::QueueName;
use bookingq_harness::redis::{Fsync, RedisOptions, RedisServer};
use bookingq_harness::wait::eventually;
use bookingq_operator::build::redis::stateful_set::settings_of_three;
use bookingq_operator::redis_failover::driver::{FailoverDriver, FailoverReport};
use bookingq_operator::redis_failover::plan::FailoverState;
use bookingq_operator::redis_failover::surroundings::{
    DesiredFailover, FailoverSurroundings, SurroundingsError,
};
use bookingq_operator::redis_failover::view::{FailoverGoal, NODES, NodeIndex, PrimaryRecord};
use parking_lot::Mutex;
use tempfile::TempDir;

/// Between two passes, as short as the steps allow.
const PERIOD: Duration = Duration::from_millis(50);
/// Longest wait for an end.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The servers know each other by a name, as Pods do.
const NAME: &str = "localhost";

/// What lasts when an operator ends: the resource, and which Pods it deleted.
#[derive(Default)]
pub struct Lasting {
    pub record: Option<PrimaryRecord>,
    pub replaced: Vec<NodeIndex>,
}

/// The surroundings of one operator.
pub struct TestSurroundings(Arc<Mutex<Lasting>>);

impl FailoverSurroundings for TestSurroundings {
    fn may_act(&self) -> bool {
        true
    }

    async fn read_record(&mut self) -> Result<Option<PrimaryRecord>, SurroundingsError> {
        Ok(self.0.lock().record)
    }

    async fn replace_record(
        &mut self,
        old: Option<PrimaryRecord>,
        new: Option<PrimaryRecord>,
    ) -> Result<bool, SurroundingsError> {
        let mut lasting = self.0.lock();
        let is_old = lasting.record == old;
        if is_old {
            lasting.record = new;
        }
        Ok(is_old)
    }

    async fn replace_pod(&mut self, node: NodeIndex) -> Result<(), SurroundingsError> {
        self.0.lock().replaced.push(node);
        Ok(())
    }
}

pub type Driver = FailoverDriver<TestSurroundings>;

/// The servers.
pub struct Trio {
    pub servers: [RedisServer; NODES],
    pub lasting: Arc<Mutex<Lasting>>,
    pub desired: DesiredFailover,
    folders: [TempDir; NODES],
}

fn start(folder: &Path, fenced: bool) -> RedisServer {
    let mut options = RedisOptions::new(Fsync::Always);
    options.directory = Some(folder.to_owned());
    if fenced {
        options.options = settings_of_three(NAME).into_iter().map(Into::into).collect();
    }
    options.start(|_| ()).unwrap()
}

impl Trio {
    /// Three empty servers.
    pub fn start() -> Self {
        Self::new(true)
    }

    /// The first one is a Redis of one, as before `replicas: 3`.
    pub fn from_one() -> Self {
        Self::new(false)
    }

    fn new(first_fenced: bool) -> Self {
        let folders: [TempDir; NODES] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
        let servers =
            std::array::from_fn(|index| start(folders[index].path(), index > 0 || first_fenced));
        let desired = DesiredFailover {
            goal: FailoverGoal::Three,
            outdated: [false; NODES],
            ready: [true; NODES],
            workers_follow: true,
        };
        Self { servers, lasting: Arc::default(), desired, folders }
    }

    /// A new operator.
    pub fn driver(&self) -> Driver {
        let address = |server: &RedisServer| (NAME.to_owned(), server.address().port());
        let surroundings = TestSurroundings(self.lasting.clone());
        let queue = QueueName::new("q").unwrap();
        FailoverDriver::new(queue, self.servers.each_ref().map(address), None, surroundings)
    }

    /// The number of replicas that workers wait for, of the one that is the default.
    pub fn waited_for(&self) -> u8 {
        self.lasting.lock().record.map_or(0, |record| record.copies.min(1))
    }

    pub fn record(&self) -> PrimaryRecord {
        self.lasting.lock().record.expect("a record")
    }

    pub fn primary(&self) -> NodeIndex {
        self.record().primary
    }

    /// Passes until a report fits. Returns the time it took.
    pub async fn until(
        &self,
        driver: &mut Driver,
        what: &str,
        mut fits: impl FnMut(FailoverReport) -> bool,
    ) -> Duration {
        let start = Instant::now();
        loop {
            let report = driver.pass(self.desired, usize::MAX).await;
            if fits(report) {
                return start.elapsed();
            }
            assert!(start.elapsed() < LIMIT, "waited for {what}: {report:?}");
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Passes until all three work together.
    pub async fn until_whole(&self, driver: &mut Driver) -> Duration {
        let whole = |report: FailoverReport| {
            let copied = report.record.is_some_and(|record| record.copies == 2);
            report.done == 0 && report.state == FailoverState::Serving { replicas: 2 } && copied
        };
        let took = self.until(driver, "a primary with two replicas", whole).await;
        eventually("the first copies to be on disk", LIMIT, async || {
            (0..NODES).all(|index| self.is_on_disk(index))
        })
        .await;
        took
    }

    /// A first copy is in memory before it is on disk.
    pub fn is_on_disk(&self, index: NodeIndex) -> bool {
        let info = self.servers[index].cli(&["INFO", "persistence"]).unwrap();
        let lines = ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"];
        lines.iter().all(|line| info.contains(line))
    }

    /// Passes until a primary has a replica.
    pub async fn until_serving(&self, driver: &mut Driver) -> Duration {
        let some = FailoverState::Serving { replicas: 1 };
        let all = FailoverState::Serving { replicas: 2 };
        let serving = |report: FailoverReport| [some, all].contains(&report.state);
        self.until(driver, "a primary with a replica", serving).await
    }

    /// Kills the server, removes its data, and starts it again.
    pub fn wipe(&mut self, index: NodeIndex) {
        self.servers[index].kill();
        for entry in std::fs::read_dir(self.folders[index].path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            }
        }
        self.servers[index].restart().unwrap();
    }

    /// Starts a server as a Pod of the new template does.
    pub fn replace(&mut self, index: NodeIndex) {
        self.servers[index].kill();
        self.servers[index] = start(self.folders[index].path(), true);
    }

    /// Writes, and waits until a replica has the write. Returns whether the server took it.
    pub async fn write(&self, index: NodeIndex, number: usize) -> bool {
        let (server, key) = (&self.servers[index], format!("write:{number}"));
        if server.cli(&["SET", &key, "x"]).unwrap() != "OK" {
            return false;
        }
        server.cli(&["INCR", "booking-barrier:{q}"]).unwrap();
        let others = (0..NODES).filter(|other| *other != index);
        eventually("a replica to have the write", LIMIT, async || {
            others.clone().any(|other| self.has(other, number))
        })
        .await;
        true
    }

    pub fn has(&self, index: NodeIndex, number: usize) -> bool {
        self.servers[index].cli(&["EXISTS", &format!("write:{number}")]).unwrap() == "1"
    }

    pub fn role(&self, index: NodeIndex) -> String {
        let role = self.servers[index].cli(&["ROLE"]).unwrap();
        role.lines().next().unwrap_or_default().to_owned()
    }
}

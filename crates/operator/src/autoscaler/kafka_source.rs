//! A queue in Kafka as its loop uses it. The operator opens no replica, which would hold all
//! bookings: it reads what a worker publishes once a second, and sends settings into the log.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bookingq_api::Plan;
use bookingq_core::{Admission, SaleRules, Workforce};
use bookingq_store::replicated::{KafkaAddress, KafkaReadings, KafkaSettings};
use bookingq_store::{Snapshot, StoreError};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::kafka_topics::{TopicsState, keep_topics};
use super::observation::StoreHealth;
use super::settings::SettingsSink;
use super::store_access::KafkaAccess;

/// How old the newest reading may be. A worker that dies keeps the notifier lease for 5 seconds.
const STALE: Duration = Duration::from_secs(10);
/// How long a setting that was sent may take to show in a reading until it is sent again.
const UNSEEN: Duration = Duration::from_secs(10);
/// How long a first reading is waited for before settings are sent without one.
const FIRST: Duration = Duration::from_secs(3);

const NO_BROKER: &str = "No broker of Kafka answers in time; the operator's log has details.";

/// A consumer of readings, as long as something uses it.
type KafkaFollower = (KafkaAddress, Weak<KafkaReadings>);

/// The consumers of readings, one for each address, as long as a queue uses it. Cheap to clone.
#[derive(Clone, Default)]
pub struct KafkaFollowers(Arc<Mutex<Vec<KafkaFollower>>>);

impl KafkaFollowers {
    /// The readings at an address.
    fn of(&self, address: &KafkaAddress) -> Result<Arc<KafkaReadings>, StoreError> {
        let mut all = self.0.lock();
        all.retain(|(_, readings)| readings.strong_count() > 0);
        let known = all.iter().find(|(other, _)| other == address);
        if let Some(found) = known.and_then(|(_, readings)| readings.upgrade()) {
            return Ok(found);
        }
        let new = Arc::new(KafkaReadings::follow(address)?);
        all.push((address.clone(), Arc::downgrade(&new)));
        Ok(new)
    }
}

/// A queue in Kafka.
pub(super) struct KafkaSource {
    access: KafkaAccess,
    readings: Arc<KafkaReadings>,
    settings: SentSettings,
    topics: watch::Receiver<TopicsState>,
    /// Whether topics may be made.
    may_make: watch::Sender<bool>,
    /// Ends with this.
    topics_task: JoinHandle<()>,
    since: Instant,
    /// The settings that were sent while there was no reading.
    asserted: Option<(Admission, SaleRules)>,
    /// The number of topics that were made and reported.
    reported: usize,
}

impl KafkaSource {
    /// Starts to follow the readings; topics are made once a read says that they may be.
    pub(super) fn start(
        access: &KafkaAccess,
        followers: &KafkaFollowers,
    ) -> Result<Self, StoreError> {
        let settings = KafkaSettings::new(&access.address, &access.replicated())?;
        let readings = followers.of(&access.address)?;
        let (sender, topics) = watch::channel(TopicsState::Unknown);
        let (may_make, may) = watch::channel(false);
        let topics_task = tokio::spawn(keep_topics(access.clone(), may, sender));
        Ok(Self {
            access: access.clone(),
            readings,
            settings: SentSettings { settings, sent: Mutex::default() },
            topics,
            may_make,
            topics_task,
            since: Instant::now(),
            asserted: None,
            reported: 0,
        })
    }

    /// The newest reading, with the settings that were sent since; or why there is none. Says
    /// whether topics may be made.
    pub(super) fn read(&mut self, may_make: bool) -> Result<(Snapshot, StoreHealth), StoreHealth> {
        self.may_make.send_if_modified(|before| std::mem::replace(before, may_make) != may_make);
        let topics = self.topics.borrow().clone();
        if let TopicsState::Refused(why) = topics {
            return Err(StoreHealth::TopicRefused { why });
        }
        let newest = self.readings.newest(&self.access.queue);
        if let Some((snapshot, _)) = newest.filter(|(_, age)| *age < STALE) {
            self.asserted = None;
            let health = StoreHealth::Reachable { warnings: Vec::new() };
            return Ok((self.settings.with_sent(snapshot), health));
        }
        Err(match topics {
            TopicsState::Unknown => StoreHealth::Unknown,
            TopicsState::Unavailable => StoreHealth::Unreachable { why: NO_BROKER.to_owned() },
            _ => StoreHealth::NoReadings,
        })
    }

    /// Sends the settings once while no worker reports what the queue has: the first worker must
    /// not begin with those of before.
    pub(super) async fn assert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        let wanted = (plan.admission, plan.rules.clone());
        let is_ready = matches!(*self.topics.borrow(), TopicsState::Ready { .. });
        if !is_ready || self.since.elapsed() < FIRST || self.asserted.as_ref() == Some(&wanted) {
            return Ok(());
        }
        // A pause comes first and an opening last, so that no client is served in between.
        if plan.admission == Admission::Paused {
            self.settings.set_admission(plan.admission).await?;
        }
        self.settings.set_rules(plan.rules.clone()).await?;
        if plan.admission != Admission::Paused {
            self.settings.set_admission(plan.admission).await?;
        }
        self.asserted = Some(wanted);
        Ok(())
    }

    /// The topics that were made since the last call.
    pub(super) fn take_made(&mut self) -> Vec<String> {
        let TopicsState::Ready { made } = &*self.topics.borrow() else { return Vec::new() };
        let new = made.get(self.reported..).unwrap_or_default().to_vec();
        self.reported = made.len();
        new
    }

    pub(super) fn settings(&self) -> &dyn SettingsSink {
        &self.settings
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.topics_task.abort();
    }
}

/// Sends settings and remembers them until a reading shows them.
struct SentSettings {
    settings: KafkaSettings,
    sent: Mutex<Unseen>,
}

/// What was sent, and when.
#[derive(Default)]
struct Unseen {
    admission: Option<(Admission, Instant)>,
    rules: Option<(SaleRules, Instant)>,
    workforce: Option<(Option<Workforce>, Instant)>,
}

impl SentSettings {
    /// A reading as the next ones will be.
    fn with_sent(&self, mut snapshot: Snapshot) -> Snapshot {
        let mut sent = self.sent.lock();
        if let Some(admission) = unseen(&mut sent.admission, &snapshot.admission) {
            snapshot.admission = admission;
        }
        if let Some(rules) = unseen(&mut sent.rules, &snapshot.rules) {
            snapshot.rules = rules;
            snapshot.rules_set = true;
        }
        if let Some(workforce) = unseen(&mut sent.workforce, &snapshot.workforce) {
            snapshot.workforce = workforce;
        }
        snapshot
    }
}

/// What was sent and differs from what is read; forgotten once it was read, or not for long.
fn unseen<T: Clone + PartialEq>(sent: &mut Option<(T, Instant)>, read: &T) -> Option<T> {
    sent.take_if(|(sent, at)| sent == read || at.elapsed() >= UNSEEN);
    sent.as_ref().map(|(sent, _)| sent.clone())
}

#[async_trait]
impl SettingsSink for SentSettings {
    async fn set_admission(&self, admission: Admission) -> Result<(), StoreError> {
        self.settings.set_admission(admission).await?;
        self.sent.lock().admission = Some((admission, Instant::now()));
        Ok(())
    }

    async fn set_rules(&self, rules: SaleRules) -> Result<(), StoreError> {
        self.settings.set_rules(rules.clone()).await?;
        self.sent.lock().rules = Some((rules, Instant::now()));
        Ok(())
    }

    async fn set_workforce(&self, workforce: &Workforce) -> Result<(), StoreError> {
        self.settings.set_workforce(workforce).await?;
        self.sent.lock().workforce = Some((Some(workforce.clone()), Instant::now()));
        Ok(())
    }
}

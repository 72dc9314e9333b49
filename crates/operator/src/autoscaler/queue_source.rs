//! What a queue loop reads its queue from, and where it writes settings.

use std::time::Duration;

use bookingq_api::Plan;
use bookingq_store::{Snapshot, StoreError};
use tokio::time::timeout;

use super::context::WriteScope;
use super::kafka_source::{KafkaFollowers, KafkaSource};
use super::observation::StoreHealth;
use super::opened_store::OpenedStore;
use super::settings::SettingsSink;
use super::store_access::StoreAccess;

const UNREACHABLE: &str =
    "Redis cannot be reached or does not answer in time; the operator's log has details.";

/// The store of a queue, as its loop uses it.
pub(super) enum QueueSource {
    /// The store itself.
    Redis(OpenedStore),
    /// What its workers publish.
    Kafka(Box<KafkaSource>),
}

impl QueueSource {
    /// Connects at the first read.
    pub(super) fn connect(
        access: &StoreAccess,
        followers: &KafkaFollowers,
    ) -> Result<Self, StoreError> {
        Ok(match access {
            StoreAccess::Redis(config) => Self::Redis(OpenedStore::connect(config)?),
            StoreAccess::Kafka(access) => {
                Self::Kafka(Box::new(KafkaSource::start(access, followers)?))
            }
        })
    }

    /// Reads the queue within a deadline; or why it cannot be read. Writes nothing where `scope` is
    /// [`WriteScope::Nothing`]: it opens no store and makes no topic.
    pub(super) async fn read(
        &mut self,
        deadline: Duration,
        scope: WriteScope,
    ) -> Result<(Snapshot, StoreHealth), StoreHealth> {
        let may_write = scope != WriteScope::Nothing;
        let opened = match self {
            Self::Kafka(kafka) => return kafka.read(may_write),
            Self::Redis(opened) => opened,
        };
        let answer = timeout(deadline, opened.read(may_write)).await;
        answer.unwrap_or(Err(StoreError::Timeout(deadline))).map_err(|error| {
            opened.forget();
            StoreHealth::Unreachable { why: cause(&error) }
        })
    }

    /// The next read opens the store again, where the operator opens it.
    pub(super) fn forget(&mut self) {
        if let Self::Redis(opened) = self {
            opened.forget();
        }
    }

    /// Writes settings that nothing shows the state of, where that is so.
    pub(super) async fn assert(&mut self, plan: &Plan) -> Result<(), StoreError> {
        match self {
            Self::Redis(_) => Ok(()),
            Self::Kafka(kafka) => kafka.assert(plan).await,
        }
    }

    /// Topics that were made since the last call.
    pub(super) fn take_made(&mut self) -> Vec<String> {
        match self {
            Self::Redis(_) => Vec::new(),
            Self::Kafka(kafka) => kafka.take_made(),
        }
    }

    /// Where settings are written.
    pub(super) fn settings(&self) -> &dyn SettingsSink {
        match self {
            Self::Redis(opened) => &opened.store,
            Self::Kafka(kafka) => kafka.settings(),
        }
    }
}

/// The error for the status. A store that is down fails with another text each second (connecting,
/// resolving, timed out), and each would write the status.
pub(super) fn cause(error: &StoreError) -> String {
    if error.is_transient() { UNREACHABLE.to_owned() } else { error.to_string() }
}

//! Why a command of the plugin failed.

use std::time::Duration;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is no usable kubeconfig.
    #[error("no cluster: {0}; KUBECONFIG or ~/.kube/config must name one")]
    Config(#[from] kube::config::KubeconfigError),
    /// The queue does not exist.
    #[error("there is no BookingQueue {name:?} in the namespace {namespace:?}")]
    NoQueue {
        /// Its name.
        name: String,
        /// Where it was looked for.
        namespace: String,
    },
    /// The queue has clients, and `--force` is not given.
    #[error(
        "{name} is in use: {busy}; they would wait, or lose what they have not paid: add --force"
    )]
    Busy {
        /// The queue.
        name: String,
        /// How many clients, and where they are.
        busy: String,
    },
    /// The operator takes backups of a Redis that it manages only.
    #[error(
        "the Redis of {name} is not managed: for a Redis of your own, run `bookingq backup create`; \
         a queue in Kafka has no backups"
    )]
    NotManaged {
        /// The queue.
        name: String,
    },
    /// No earlier backup says where to.
    #[error(
        "{name} has no backup yet: name a PersistentVolumeClaim for the files with --claim, or \
         apply a BookingQueueBackup with spec.s3"
    )]
    NoBackup {
        /// The queue.
        name: String,
    },
    /// The backup has failed.
    #[error("the backup {name} has failed: {message}")]
    BackupFailed {
        /// The backup.
        name: String,
        /// Why.
        message: String,
    },
    /// The backup has not ended in time.
    #[error(
        "the backup {name} has not ended after {timeout:?}: {state}; it goes on, see `kubectl get \
         bookingqueuebackup {name}`"
    )]
    BackupLasts {
        /// The backup.
        name: String,
        /// How long it was waited for.
        timeout: Duration,
        /// Reason and message of its condition Ready.
        state: String,
    },
    /// The API server refused, or did not answer.
    #[error("{what}: {}", said(error))]
    Api {
        /// What was asked for.
        what: &'static str,
        /// Its answer.
        error: kube::Error,
    },
    /// The output could not be written.
    #[error("the output could not be written: {0}")]
    Output(#[from] std::io::Error),
}

impl PluginError {
    /// Says what was asked for.
    pub(crate) fn asked(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |error| Self::Api { what, error }
    }
}

/// What the API server said, without the rest of its answer.
pub(crate) fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.reason),
        other => other.to_string(),
    }
}

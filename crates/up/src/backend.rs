//! Where the data of a run lives, and with it, where the workers run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bookingq_api::Plan;
use bookingq_store::MemoryConfig;
use bookingq_store::RedisConfig;
use bookingq_store::Store;

use crate::UpError;
use crate::config::StoreChoice;
use crate::console::Console;
use crate::patience::insist;
use crate::redis_server::RedisServer;

/// How long a store may take to answer for the first time.
const OPENING: Duration = Duration::from_secs(10);

/// The store of a run.
#[derive(Debug)]
pub enum Backend {
    /// In this process.
    Embedded,
    /// Redis, with the server if it is ours.
    Redis {
        /// Where.
        url: String,
        /// Ours.
        server: Option<RedisServer>,
    },
}

impl Backend {
    /// Starts what has to be started.
    ///
    /// # Errors
    /// When there is no Redis to start.
    pub async fn start(
        choice: &StoreChoice,
        directory: &Path,
        console: &Console,
    ) -> Result<Self, UpError> {
        Ok(match choice {
            StoreChoice::Embedded => Self::Embedded,
            StoreChoice::Redis(url) => Self::Redis { url: url.clone(), server: None },
            StoreChoice::OwnRedis => {
                let server = RedisServer::start(directory, console).await?;
                Self::Redis { url: server.url(), server: Some(server) }
            }
        })
    }

    /// The store of one queue, open.
    ///
    /// # Errors
    /// When it does not answer, or has data of a newer release.
    pub async fn store(&self, plan: &Plan, console: &Console) -> Result<Arc<dyn Store>, UpError> {
        let store: Arc<dyn Store> = match self {
            Self::Embedded => {
                let mut config = MemoryConfig::new(plan.queue.clone());
                config.retention = plan.retention;
                bookingq_store::open(config)?
            }
            Self::Redis { url, .. } => {
                let mut config = RedisConfig::new(url.clone(), plan.queue.clone());
                config.retention = plan.retention;
                bookingq_store::open(config)?
            }
        };
        for warning in insist(OPENING, || store.open()).await?.warnings {
            console.tell(format!("warning: {warning}"));
        }
        store.set_admission(plan.admission).await?;
        Ok(store)
    }

    /// Ends what was started.
    pub async fn stop(self) {
        if let Self::Redis { server: Some(server), .. } = self {
            server.stop().await;
        }
    }
}

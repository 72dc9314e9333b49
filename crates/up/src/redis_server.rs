//! A `redis-server` of our own: on a free port, in a directory that goes with us, with nothing that
//! could lose a booking.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::UpError;
use crate::console::Console;
use crate::process::{Life, Recipe, Turn, free_port, keep};

/// How long it may take until it takes connections.
const OPENING: Duration = Duration::from_secs(10);

/// A running one. Killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    port: SocketAddr,
    leave: CancellationToken,
    task: JoinHandle<()>,
}

impl RedisServer {
    /// Starts it and waits until it takes connections; it is kept running from then on.
    ///
    /// # Errors
    /// [`UpError::NoRedis`] when there is no such program, no port, or it does not come up.
    pub async fn start(directory: &Path, console: &Console) -> Result<Self, UpError> {
        // Asked first, so that a missing program is an error and not a process that dies again and
        // again.
        let version = tokio::process::Command::new("redis-server").arg("--version").output().await;
        version.map_err(UpError::NoRedis)?;
        let port = free_port().map_err(UpError::NoRedis)?;
        let leave = CancellationToken::new();
        let recipe = Recipe {
            name: format!("redis-server ({port})"),
            program: "redis-server".into(),
            arguments: arguments(port, directory),
            environment: Vec::new(),
            log: directory.join("redis.log"),
            port: Some(port),
            grace: Duration::from_secs(5),
            life: Life::Endless,
        };
        let up = Arc::new(Notify::new());
        let opened = Arc::clone(&up);
        let watcher = move |turn| {
            if turn == Turn::Up {
                opened.notify_one();
            }
        };
        let server = Self {
            port,
            task: tokio::spawn(keep(recipe, console.clone(), leave.clone(), watcher)),
            leave,
        };
        if tokio::time::timeout(OPENING, up.notified()).await.is_err() {
            server.stop().await;
            let problem = format!("it did not take connections at {port} within {OPENING:?}");
            return Err(UpError::NoRedis(std::io::Error::other(problem)));
        }
        Ok(server)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://{}", self.port)
    }

    /// Ends it.
    pub async fn stop(self) {
        self.leave.cancel();
        // Its supervisor ends within the grace.
        let _ = self.task.await;
    }
}

/// Every write is on the disk before it is answered, and nothing is ever evicted.
fn arguments(port: SocketAddr, directory: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--dir".into(), directory.into(), "--port".into()];
    arguments.push(port.port().to_string().into());
    let fixed = [
        "--bind",
        "127.0.0.1",
        "--daemonize",
        "no",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--maxmemory-policy",
        "noeviction",
        // Small sorted sets as lists cost a walk for each change: see docs/redis-keys.md.
        "--zset-max-listpack-entries",
        "0",
    ];
    arguments.extend(fixed.into_iter().map(OsString::from));
    arguments
}

//! A worker in a process of its own: this program, started once more.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bookingq_core::Admission;
use bookingq_harness::ProcessUsage;
use bookingq_harness::command::{OrphanSignal, tied};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::{Builder, Handle};

use crate::drive::until_told;
use crate::grpc::WorkerUnderTest;

/// What the other process is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// redis://…
    #[arg(long)]
    redis: String,
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    address: SocketAddr,
    queue: String,
}

/// It ends this soon after its standard input has.
const LEAVE: Duration = Duration::from_secs(30);

/// Serves a paused queue until standard input ends.
pub fn run(args: &Args) -> Result<()> {
    Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let worker =
            WorkerUnderTest::start(&args.redis, Admission::Paused, 1, &Handle::current()).await?;
        let said = Said { address: worker.address(), queue: worker.queue().to_string() };
        println!("{}", serde_json::to_string(&said)?);
        until_told().await;
        worker.stop().await;
        Ok(())
    })
}

/// The other process. It is killed when dropped.
pub struct Served {
    said: Said,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Served {
    /// Starts it and waits until it serves.
    pub async fn start(redis: &str) -> Result<Self> {
        let mut command = Command::from(tied(&std::env::current_exe()?, OrphanSignal::Kill)?);
        command.args(["serve", "--redis", redis]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.kill_on_drop(true).spawn().context("the worker could not be started")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("a worker without output")?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await?
            .context("the worker ended at once")?;
        Ok(Self { said: serde_json::from_str(&line)?, child, stdin })
    }

    /// Where it serves.
    pub fn address(&self) -> SocketAddr {
        self.said.address
    }

    /// Its queue.
    pub fn queue(&self) -> &str {
        &self.said.queue
    }

    /// What it uses now.
    pub fn usage(&self) -> Result<ProcessUsage> {
        Ok(ProcessUsage::of(self.child.id().context("the worker has ended")?)?)
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        drop(self.stdin.take());
        tokio::time::timeout(LEAVE, self.child.wait())
            .await
            .context("the worker does not end")??;
        Ok(())
    }
}

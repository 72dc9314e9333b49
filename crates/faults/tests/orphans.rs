//! The program as it is run: killed in the middle, it leaves no process behind.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use bookingq_harness::wait::eventually;
use bookingq_harness::{Process, ProcessSpec};

const LIMIT: Duration = Duration::from_secs(20);

/// Processes whose working directory this is: redis-server changes to its data directory.
fn processes_in(directory: &Path) -> usize {
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let directories = folders.filter_map(|folder| folder.path().join("cwd").read_link().ok());
    directories.filter(|found| found == directory).count()
}

#[tokio::test]
async fn a_run_that_is_killed_leaves_no_redis_behind() {
    let folder = tempfile::tempdir().unwrap();
    // A worker that never serves: the run waits for it, with its Redis.
    let worker = folder.path().join("worker");
    std::fs::write(&worker, "#!/bin/sh\nexec sleep 60\n").unwrap();
    std::fs::set_permissions(&worker, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut run = Process::start(
        ProcessSpec::new("faults", "sh")
            .arguments(["-c", "cd \"$1\" && exec \"$0\" --program ./worker --seed 1"])
            .arguments([env!("CARGO_BIN_EXE_bookingq-faults").as_ref(), folder.path()]),
    )
    .unwrap();
    let data = folder.path().canonicalize().unwrap().join("target/faults/1/redis");
    eventually("Redis to start", LIMIT, async || processes_in(&data) > 0).await;
    run.kill();
    eventually("Redis to end", LIMIT, async || processes_in(&data) == 0).await;
}

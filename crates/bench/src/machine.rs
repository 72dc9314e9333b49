//! Where it was measured: figures without it mean nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// What figures depend on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// As its maker calls it.
    cpu: String,
    /// Cores this process may use.
    cores: usize,
    /// Of the server.
    redis: String,
    /// Of the compiler in use here.
    rustc: String,
}

impl Machine {
    /// This one. To be asked before anything is pinned.
    pub fn look() -> Self {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            cpu: model.map_or("unknown CPU", |(_, name)| name).to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            redis: version("redis-server", |line| line.split(" v=").nth(1)?.split(' ').next()),
            rustc: version("rustc", |line| line.split(' ').nth(1)),
        }
    }

    /// How many cores.
    pub fn cores(&self) -> usize {
        self.cores
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cpu, cores, redis, rustc } = self;
        write!(f, "{cores} cores ({cpu}), redis-server {redis}, rustc {rustc}")
    }
}

fn version(program: &str, find: impl Fn(&str) -> Option<&str>) -> String {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    find(String::from_utf8_lossy(&output).trim()).unwrap_or("of unknown version").to_owned()
}

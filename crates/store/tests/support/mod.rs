//! A redis-server of our own for a test: on a free port, in a directory that goes away, stopped at
//! the end.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of this")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bookingq_core::QueueName;
use bookingq_store::redis::RedisConfig;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(10);

/// A running redis-server.
pub struct RedisServer {
    child: Child,
    port: u16,
    options: Vec<String>,
    dir: tempfile::TempDir,
}

impl RedisServer {
    /// Without persistence.
    pub fn start() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "no"])
    }

    /// With every write on disk before it is acknowledged.
    pub fn start_durable() -> Self {
        Self::start_with(&["--save", "", "--appendonly", "yes", "--appendfsync", "always"])
    }

    /// With these options.
    pub fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        // Somebody else may take the port between our look and the server's start.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = spawn(port, &options, dir.path());
            if answers(&mut child, port) {
                return Self { child, port, options, dir };
            }
            child.kill().ok();
            child.wait().ok();
        }
        panic!("redis-server did not start; its log is lost with its directory");
    }

    /// A configuration for a queue that no other test uses.
    pub fn config(&self) -> RedisConfig {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let queue = format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed));
        RedisConfig::new(self.url(), QueueName::new(&queue).unwrap())
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the same port, with the data it left on disk.
    pub fn restart(&mut self) {
        self.child = spawn(self.port, &self.options, self.dir.path());
        assert!(answers(&mut self.child, self.port), "redis-server did not start again");
    }

    /// Runs one command past the store and returns the answer as redis-cli prints it.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(arguments)
            .output()
            .expect("redis-cli is not on PATH: install redis-tools");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(port: u16, options: &[String], dir: &std::path::Path) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
        .arg(dir)
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is not on PATH: install it, these tests need a real one")
}

/// Whether it answers before it dies or time is up.
fn answers(child: &mut Child, port: u16) -> bool {
    let until = Instant::now() + START;
    while Instant::now() < until {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        // Another test's server may have got the port first: it would go away in the middle of this
        // test.
        if process_id(port) == Some(child.id()) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// The process that answers on a port.
fn process_id(port: u16) -> Option<u32> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    answer.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

//! A redis-server that is killed, and one whose owner is killed.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, ProcessUsage, RedisOptions, RedisServer, Restart, Signal};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn it_comes_back_at_its_address_with_what_is_on_disk() {
    for (fsync, kept) in [(Fsync::Always, "1"), (Fsync::Off, "")] {
        let mut redis = RedisServer::start(fsync).unwrap();
        let url = redis.url();
        assert_eq!(redis.cli(&["SET", "a", "1"]).unwrap(), "OK");
        redis.kill();
        assert!(std::net::TcpStream::connect(redis.address()).is_err());
        redis.restart().unwrap();
        assert_eq!(redis.url(), url);
        assert_eq!(redis.cli(&["GET", "a"]).unwrap(), kept);
    }
}

#[tokio::test]
async fn one_that_is_kept_running_restarts_by_itself() {
    let wait = Duration::from_millis(20);
    let restart = Restart::Always(Backoff { initial: wait, max: wait });
    let options = RedisOptions { restart, ..RedisOptions::new(Fsync::Off) };
    let redis = options.start(|_| ()).unwrap();
    redis.process().signal(Signal::KILL);
    eventually("it to answer again", LIMIT, async || {
        redis.process().starts() == 2 && redis.cli(&["PING"]).is_ok_and(|answer| answer == "PONG")
    })
    .await;
    redis.stop().await;
}

#[tokio::test]
async fn one_whose_disk_is_full_ends_and_comes_back_with_what_it_has_acknowledged() {
    let wait = Duration::from_millis(20);
    let restart = Restart::Always(Backoff { initial: wait, max: wait });
    let wrapper = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""].map(Into::into).to_vec();
    let options = RedisOptions { restart, wrapper, ..RedisOptions::new(Fsync::Always) };
    let redis = options.start(|_| ()).unwrap();
    assert_eq!(redis.cli(&["SET", "a", "1"]).unwrap(), "OK");
    let away = Duration::from_millis(500);
    redis.process().fill_disk(4096, away).unwrap();
    let full = std::time::Instant::now();
    let long = "x".repeat(8192);
    assert_ne!(redis.cli(&["SET", "b", &long]).unwrap_or_default(), "OK");
    eventually("it to answer again", LIMIT, async || {
        redis.process().starts() == 2 && redis.cli(&["PING"]).is_ok_and(|answer| answer == "PONG")
    })
    .await;
    assert!(full.elapsed() >= away);
    assert_eq!(redis.cli(&["GET", "a"]).unwrap(), "1");
    assert_eq!(redis.cli(&["GET", "b"]).unwrap(), "");
    assert_eq!(redis.cli(&["SET", "b", &long]).unwrap(), "OK");
    assert_eq!(redis.process().unexplained_ends(), Vec::<String>::new());
    redis.stop().await;
}

/// Runs only as the child of the next test.
#[test]
#[ignore = "the child of another test"]
fn own_a_redis_until_killed() {
    let redis = RedisServer::start(Fsync::Off).unwrap();
    // A frozen server sees no other signal than SIGKILL.
    println!("\npid {}", redis.process().pid().unwrap());
    redis.process().signal(Signal::STOP);
    std::thread::sleep(LIMIT * 3);
}

#[tokio::test]
async fn it_ends_with_its_owner_even_if_that_is_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["own_a_redis_until_killed", "--exact", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let pid = lines.map(Result::unwrap).find_map(|line| line.strip_prefix("pid ")?.parse().ok());
    let pid: u32 = pid.unwrap();
    assert!(ProcessUsage::of(pid).is_ok());
    owner.kill().unwrap();
    owner.wait().unwrap();
    eventually("the server to end", LIMIT, async || ProcessUsage::of(pid).is_err()).await;
}

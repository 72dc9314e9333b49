//! Faults on three real redis-servers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use bookingq_core::QueueName;
use bookingq_harness::redis::{Fsync, RedisServer};
use bookingq_harness::wait::eventually;
use bookingq_operator::build::redis::stateful_set::SERVES;
use bookingq_operator::redis_failover::plan::FailoverState;
use bookingq_operator::redis_failover::view::{FailoverGoal, PrimaryRecord};
use bookingq_store::redis::node::{NodeCommandError, NodeRole, RedisNode};
use rustix::process::Signal;

use super::trio::{LIMIT, Trio};

#[tokio::test]
async fn a_new_queue_gets_a_primary_and_two_replicas() {
    let trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert_eq!((trio.record().term, trio.primary()), (1, 0));
    assert!(trio.write(0, 1).await);
    assert_eq!([0, 1, 2].map(|index| trio.role(index)), ["master", "slave", "slave"]);
}

#[tokio::test]
async fn a_killed_primary_has_a_successor_with_every_write_and_comes_back_as_a_replica() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers[0].kill();
    let took = trio.until_serving(&mut driver).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    let primary = trio.primary();
    assert!(primary != 0 && trio.record().term > 1 && trio.has(primary, 1), "{:?}", trio.record());
    trio.servers[0].restart().unwrap();
    assert_eq!(trio.role(0), "slave", "it starts cut off");
    trio.until_whole(&mut driver).await;
    assert!(trio.write(primary, 2).await);
}

#[tokio::test]
async fn a_thawed_primary_takes_no_writes_and_follows_within_three_seconds() {
    let trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers[0].process().signal(Signal::STOP);
    let took = trio.until_serving(&mut driver).await;
    assert!(took < Duration::from_secs(8), "{took:?}");
    let primary = trio.primary();
    assert_ne!(primary, 0);
    // What a slow client has sent to the frozen primary meanwhile.
    let mut slow = TcpStream::connect(trio.servers[0].address()).unwrap();
    slow.write_all(b"SET late x\r\nWAIT 1 1000\r\n").unwrap();
    trio.servers[0].process().signal(Signal::CONT);
    let thawed = Instant::now();
    trio.until_whole(&mut driver).await;
    assert!(thawed.elapsed() < Duration::from_secs(3), "{:?}", thawed.elapsed());
    assert!(trio.servers[0].cli(&["SET", "late", "x"]).unwrap().contains("READONLY"));
    assert!(trio.has(primary, 1));
    slow.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut answer = Vec::new();
    // It ends with the connection, which the demotion ends, or after the wait.
    slow.read_to_end(&mut answer).ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains(":1"), "no replica confirms it: {answer:?}");
}

#[tokio::test]
async fn an_empty_node_is_never_the_primary_and_gets_the_data() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.wipe(0);
    trio.until_whole(&mut driver).await;
    assert_ne!(trio.primary(), 0, "it restarted without data");
    assert!([0, 1, 2].iter().all(|index| trio.has(*index, 1)));
}

#[tokio::test]
async fn two_nodes_away_are_a_lost_quorum_that_ends_by_itself() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers[0].kill();
    trio.servers[1].kill();
    let before = trio.record();
    trio.until(&mut driver, "QuorumLost", |report| report.state == FailoverState::QuorumLost).await;
    for _ in 0..20 {
        driver.pass(trio.desired, usize::MAX).await;
    }
    assert_eq!((trio.record(), trio.role(2).as_str()), (before, "slave"), "nothing is promoted");
    trio.servers[1].restart().unwrap();
    trio.until_serving(&mut driver).await;
    assert!(trio.has(trio.primary(), 1));
}

#[tokio::test]
async fn all_three_killed_serve_again_with_every_write() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers.iter_mut().for_each(RedisServer::kill);
    driver.pass(trio.desired, usize::MAX).await;
    for server in &mut trio.servers {
        server.restart().unwrap();
    }
    let took = trio.until_whole(&mut driver).await;
    assert!(took < LIMIT, "{took:?}");
    assert!([0, 1, 2].iter().all(|index| trio.has(*index, 1)));
}

#[tokio::test]
async fn an_operator_that_ends_after_any_step_is_followed_by_one_that_finishes() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    for last in 1..9 {
        let (old, term) = (trio.primary(), trio.record().term);
        assert!(trio.write(old, last).await);
        trio.servers[old].kill();
        // It restarts at once, so that an election is due without a wait.
        trio.servers[old].restart().unwrap();
        let mut ending = trio.driver();
        let mut done = 0;
        let start = Instant::now();
        while done < last && start.elapsed() < Duration::from_secs(2) {
            done += ending.pass(trio.desired, last - done).await.done;
        }
        drop(ending);
        let mut next = trio.driver();
        trio.until_whole(&mut next).await;
        assert!(trio.record().term > term, "{last}");
        assert!((1..=last).all(|number| trio.has(trio.primary(), number)), "{last}");
    }
}

#[tokio::test]
async fn a_command_of_an_earlier_election_changes_nothing() {
    let trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    let port = |index: usize| trio.servers[index].address().port();
    let (queue, deadline) = (QueueName::new("q").unwrap(), Duration::from_secs(1));
    let mut node = RedisNode::new("localhost", port(1), None, &queue, deadline);
    for late in
        [node.promote(0, 1).await, node.fence(0).await, node.follow("localhost", port(2), 0).await]
    {
        let late = late.unwrap_err();
        assert!(matches!(late, NodeCommandError::Outdated { found: 1, commanded: 0 }), "{late}");
    }
    let NodeRole::Replica(link) = node.read().await.unwrap().role else { panic!("promoted") };
    assert_eq!((link.host.as_str(), link.port, link.up), ("localhost", port(0), true));
    let mut elsewhere = RedisNode::new("127.0.0.1", port(1), None, &queue, deadline);
    let other = elsewhere.read().await.unwrap_err();
    let NodeCommandError::OtherServer { asked, found } = other else { panic!("{other}") };
    assert_eq!((asked.as_str(), found.as_str()), ("127.0.0.1", "localhost"));
    let changed = node.promote(2, 0).await.unwrap_err();
    assert!(matches!(changed, NodeCommandError::Changed { found: 1, seen: 0 }), "{changed}");
    let refused = node.write_term(2).await.unwrap_err().to_string();
    assert!(refused.contains("replica") || refused.contains("ReadOnly"), "{refused}");
}

#[tokio::test]
async fn a_server_that_has_lost_its_data_since_it_was_chosen_is_not_promoted() {
    let (queue, deadline) = (QueueName::new("q").unwrap(), Duration::from_secs(1));
    let empty = RedisServer::start(Fsync::Off).unwrap();
    let (host, port) = ("127.0.0.1", empty.address().port());
    empty.cli(&["REPLICAOF", host, "1"]).unwrap();
    let mut empty = RedisNode::new(host, port, None, &queue, deadline);
    let changed = empty.promote(2, 1).await.unwrap_err();
    assert!(matches!(changed, NodeCommandError::Changed { found: 0, seen: 1 }), "{changed}");
    assert!(matches!(empty.read().await.unwrap().role, NodeRole::Replica(_)));
}

#[tokio::test]
async fn a_server_that_refuses_the_password_is_not_silent() {
    let trio = Trio::start();
    let server = &trio.servers[0];
    let (queue, deadline) = (QueueName::new("q").unwrap(), Duration::from_secs(1));
    let node = |password: Option<&str>| {
        let (port, password) = (server.address().port(), password.map(str::to_owned));
        RedisNode::new("localhost", port, password, &queue, deadline)
    };
    server.cli(&["CONFIG", "SET", "requirepass", "new"]).unwrap();
    assert!(node(Some("new")).read().await.is_ok());
    for old in [Some("old"), None] {
        let refused = node(old).read().await.unwrap_err();
        assert!(refused.is_refused_login() && !refused.is_loading(), "{refused}");
    }
    server.process().signal(Signal::STOP);
    let silent = node(Some("new")).read().await.unwrap_err();
    assert!(!silent.is_refused_login() && !silent.is_loading(), "{silent}");
    server.process().signal(Signal::CONT);
}

#[tokio::test]
async fn a_first_copy_that_takes_long_is_no_lost_quorum() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers[2].kill();
    // Each key takes this many microseconds to be written to the copy.
    trio.servers[0].cli(&["CONFIG", "SET", "rdb-key-save-delay", "500000"]).unwrap();
    trio.wipe(1);
    let mut copying = 0;
    trio.until(&mut driver, "the copy", |report| {
        copying += usize::from(report.state == FailoverState::Copying);
        report.state == FailoverState::Serving { replicas: 1 } && copying > 0
    })
    .await;
    assert!(copying > 2, "{copying}");
}

#[tokio::test]
async fn a_pod_is_ready_while_it_leads_or_follows_with_the_data() {
    let mut trio = Trio::start();
    let ready = |trio: &Trio| {
        let is_ready = |server: &RedisServer| {
            let port = server.address().port().to_string();
            let command = &mut Command::new(SERVES[0]);
            command.args(["-p", &port]).args(&SERVES[1..]).status().unwrap().success()
        };
        trio.servers.each_ref().map(is_ready)
    };
    assert_eq!(ready(&trio), [false; 3], "cut off");
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert_eq!(ready(&trio), [true; 3]);
    assert!(trio.write(0, 1).await);
    trio.servers[0].cli(&["CONFIG", "SET", "rdb-key-save-delay", "500000"]).unwrap();
    trio.wipe(1);
    trio.until(&mut driver, "a copy", |_| {
        trio.servers[1].cli(&["INFO", "replication"]).unwrap().contains("in_progress:1")
    })
    .await;
    assert_eq!(ready(&trio), [true, false, true], "it has no data yet");
    trio.until_whole(&mut driver).await;
    assert_eq!(ready(&trio), [true; 3]);
    trio.servers[0].kill();
    // No operator is there.
    eventually("the links to be down", LIMIT, async || ready(&trio) == [false; 3]).await;
    trio.until_serving(&mut driver).await;
    assert!(ready(&trio)[trio.primary()]);
}

#[tokio::test]
async fn a_new_template_replaces_the_replicas_first_and_then_hands_over() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.desired.outdated = [true; 3];
    for expected in [1, 2, 0] {
        trio.until(&mut driver, "a Pod to be replaced", |_| {
            trio.lasting.lock().replaced.last() == Some(&expected)
        })
        .await;
        assert_eq!(trio.primary() == 0, expected != 0, "the primary is not replaced");
        trio.servers[expected].kill();
        trio.servers[expected].restart().unwrap();
        trio.desired.outdated[expected] = false;
    }
    trio.until_whole(&mut driver).await;
    assert_eq!(trio.record().term, 2, "one hand-over");
    assert!(trio.has(trio.primary(), 1));
}

#[tokio::test]
async fn a_pod_is_replaced_only_when_the_first_copies_are_on_disk() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert!(trio.write(0, 1).await);
    trio.servers[1].kill();
    assert!(trio.write(0, 2).await);
    trio.servers[1].restart().unwrap();
    // Each key takes this many microseconds to be written.
    trio.servers[1].cli(&["CONFIG", "SET", "rdb-key-save-delay", "700000"]).unwrap();
    trio.desired.outdated[2] = true;
    let mut waited = 0;
    trio.until(&mut driver, "a Pod to be replaced", |report| {
        let on_disk = trio.is_on_disk(1);
        waited += usize::from(!on_disk && report.state == FailoverState::Serving { replicas: 2 });
        let replaced = !trio.lasting.lock().replaced.is_empty();
        assert!(on_disk || !replaced, "its only other copy could be gone after a restart");
        replaced
    })
    .await;
    assert!(waited > 2, "the copy must be in memory for a while: {waited}");
    trio.servers[1].kill();
    trio.servers[1].restart().unwrap();
    assert!(trio.has(1, 2));
}

#[tokio::test]
async fn a_hand_over_that_fails_leaves_the_primary_in_place() {
    let mut trio = Trio::start();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    // The primary does not know its replica by the port that the hand-over names.
    trio.servers[1].cli(&["CONFIG", "SET", "replica-announce-port", "1"]).unwrap();
    trio.servers[0].cli(&["CLIENT", "KILL", "TYPE", "replica"]).unwrap();
    trio.until_whole(&mut driver).await;
    trio.desired.outdated[0] = true;
    let back = PrimaryRecord { term: 3, primary: 0, copies: 2 };
    trio.until(&mut driver, "its term in the data", |report| {
        assert!(matches!(report.state, FailoverState::Serving { .. }), "{report:?}");
        assert_eq!(trio.role(0), "master");
        report.record == Some(back) && report.done > 0
    })
    .await;
    for _ in 0..20 {
        let report = driver.pass(trio.desired, usize::MAX).await;
        assert_eq!((report.record, report.done), (Some(back), 0), "it waits before the next try");
    }
    assert!(trio.write(0, 1).await);
}

#[tokio::test]
async fn a_redis_of_one_becomes_one_of_three_and_back_while_it_takes_writes() {
    let mut trio = Trio::from_one();
    trio.servers[0].cli(&["SET", "write:1", "x"]).unwrap();
    trio.servers[0].cli(&["HSET", "booking-meta:{q}", "epoch", "e"]).unwrap();
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert_eq!(trio.primary(), 0, "it has the data");
    assert!(trio.has(1, 1) && trio.has(2, 1));
    assert!(trio.write(0, 2).await);
    trio.servers[0].kill();
    trio.until_serving(&mut driver).await;
    trio.replace(0);
    let mut driver = trio.driver();
    trio.until_whole(&mut driver).await;
    assert_ne!(trio.primary(), 0);
    assert_eq!(trio.record().copies, 2);
    (trio.desired.goal, trio.desired.workers_follow) = (FailoverGoal::Shrink, false);
    trio.until(&mut driver, "the first node to lead", |report| {
        report.done == 0 && report.record.is_some_and(|record| record.primary == 0)
    })
    .await;
    for _ in 0..10 {
        let report = driver.pass(trio.desired, usize::MAX).await;
        assert_eq!(report.done, 0, "workers still wait for a replica");
    }
    trio.desired.workers_follow = true;
    trio.until(&mut driver, "the end of three", |report| {
        report.record.is_none() && report.done > 0
    })
    .await;
    assert_eq!((trio.role(0).as_str(), trio.lasting.lock().record), ("master", None));
    assert!(trio.has(0, 1) && trio.has(0, 2));
    trio.servers[1].kill();
    trio.servers[2].kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(trio.servers[0].cli(&["SET", "alone", "x"]).unwrap(), "OK");
}

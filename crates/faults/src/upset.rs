//! What an operator, or a lack of memory, does to a Redis that goes on running: told to it as commands, and taken back later.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, Cmd, RedisResult, cmd};
use tokio::time::{sleep, timeout};

use crate::plan::Upset;

/// Longest wait for one command.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two tries to take something back.
const AGAIN: Duration = Duration::from_millis(50);
/// Tries to take something back: a Redis that starts again in between has forgotten it anyway.
const TRIES: u32 = 200;

/// Does it, and takes it back after `time` if it lasts. Does not wait for that, nor for a Redis that does not answer.
pub fn upset(redis: String, upset: Upset, time: Duration) {
    tokio::spawn(async move {
        // Without an answer it may have been done all the same, or be done yet.
        told(&redis, &beginning(upset, time)).await;
        if let Some(end) = ending(upset) {
            sleep(time).await;
            insist(&redis, &end).await;
        }
    });
}

/// Takes everything back.
pub async fn heal(redis: &str) {
    for upset in [Upset::Full, Upset::ReadOnly] {
        if let Some(end) = ending(upset) {
            insist(redis, &end).await;
        }
    }
}

fn beginning(upset: Upset, time: Duration) -> Cmd {
    match upset {
        Upset::ForgetScripts => words(&["SCRIPT", "FLUSH"]),
        Upset::Full => words(&["CONFIG", "SET", "maxmemory", "1"]),
        // Of nobody: it goes on with its data, and refuses to write.
        Upset::ReadOnly => words(&["REPLICAOF", "127.0.0.1", "1"]),
        Upset::Pause => words(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"]),
        Upset::DropClients => words(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]),
    }
}

fn ending(upset: Upset) -> Option<Cmd> {
    match upset {
        Upset::Full => Some(words(&["CONFIG", "SET", "maxmemory", "0"])),
        Upset::ReadOnly => Some(words(&["REPLICAOF", "NO", "ONE"])),
        // A pause ends by itself.
        Upset::ForgetScripts | Upset::Pause | Upset::DropClients => None,
    }
}

fn words(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command
}

async fn insist(redis: &str, command: &Cmd) {
    for _ in 0..TRIES {
        if told(redis, command).await {
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn told(redis: &str, command: &Cmd) -> bool {
    let tell = async {
        let mut connection: MultiplexedConnection =
            Client::open(redis)?.get_multiplexed_async_connection().await?;
        let told: RedisResult<()> = command.query_async(&mut connection).await;
        told
    };
    matches!(timeout(ANSWER, tell).await, Ok(Ok(())))
}

//! What an operator, a neighbour, or a lack of something does to a Redis that goes on running: told
//! to it as commands, and taken back later.

use std::time::Duration;

use clap::ValueEnum as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisResult, cmd};
use tokio::time::{sleep, timeout};

use crate::plan::Upset;

/// Longest wait for one command.
const ANSWER: Duration = Duration::from_secs(2);
/// Between two tries to take something back.
const AGAIN: Duration = Duration::from_millis(50);
/// Tries to take something back: a Redis that starts again in between has forgotten it anyway.
const TRIES: u32 = 200;
/// Runs for so many microseconds and changes nothing.
const LONG_SCRIPT: &str = "
    local function now()
      local at = redis.call('TIME')
      return at[1] * 1000000 + at[2]
    end
    local ends = now() + ARGV[1]
    while now() < ends do end";
/// Does it, and takes it back after `time` if it lasts. Does not wait for that, nor for a Redis
/// that does not answer.
pub fn upset(redis: String, upset: Upset, time: Duration) {
    tokio::spawn(async move {
        // Without an answer it may have been done all the same, or be done yet.
        let connection = connect(&redis).await;
        for command in beginning(upset, time) {
            told(connection.clone(), &command).await;
        }
        if let Some(end) = ending(upset) {
            sleep(time).await;
            // On the same connection, since there may be no other to be had.
            if !told(connection, &end).await {
                insist(&redis, &end).await;
            }
        }
    });
}

/// Takes everything back.
pub async fn heal(redis: &str) {
    for end in Upset::value_variants().iter().filter_map(|upset| ending(*upset)) {
        insist(redis, &end).await;
    }
}

fn beginning(upset: Upset, time: Duration) -> Vec<Cmd> {
    match upset {
        Upset::ForgetScripts => vec![words(&["SCRIPT", "FLUSH"])],
        Upset::Full => vec![words(&["CONFIG", "SET", "maxmemory", "1"])],
        // Of nobody: it goes on with its data, and refuses to write.
        Upset::ReadOnly => vec![words(&["REPLICAOF", "127.0.0.1", "1"])],
        Upset::Pause => vec![words(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"])],
        Upset::DropClients => vec![drop_clients()],
        Upset::Busy => vec![
            // From then on others are refused; before, they only wait.
            words(&["CONFIG", "SET", "lua-time-limit", "20"]),
            words(&["EVAL", LONG_SCRIPT, "0", &time.as_micros().to_string()]),
        ],
        Upset::Crowded => vec![words(&["CONFIG", "SET", "maxclients", "1"]), drop_clients()],
        Upset::Locked => vec![words(&["ACL", "SETUSER", "default", "-evalsha", "-xread"])],
        Upset::NoReplicas => vec![words(&["CONFIG", "SET", "min-replicas-to-write", "1"])],
    }
}

fn ending(upset: Upset) -> Option<Cmd> {
    match upset {
        Upset::Full => Some(words(&["CONFIG", "SET", "maxmemory", "0"])),
        Upset::ReadOnly => Some(words(&["REPLICAOF", "NO", "ONE"])),
        Upset::Crowded => Some(words(&["CONFIG", "SET", "maxclients", "10000"])),
        Upset::Locked => Some(words(&["ACL", "SETUSER", "default", "+@all"])),
        Upset::NoReplicas => Some(words(&["CONFIG", "SET", "min-replicas-to-write", "0"])),
        // These end by themselves.
        Upset::ForgetScripts | Upset::Pause | Upset::DropClients | Upset::Busy => None,
    }
}

fn drop_clients() -> Cmd {
    words(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
}

fn words(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command
}

async fn insist(redis: &str, command: &Cmd) {
    for _ in 0..TRIES {
        if told(connect(redis).await, command).await {
            return;
        }
        sleep(AGAIN).await;
    }
}

async fn connect(redis: &str) -> Option<MultiplexedConnection> {
    // How long an answer may take is bounded here, not by the client.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let connected =
        async { Client::open(redis)?.get_multiplexed_async_connection_with_config(&config).await };
    timeout(ANSWER, connected).await.ok()?.ok()
}

/// Whether it was told and answered, in time and without an error.
async fn told(connection: Option<MultiplexedConnection>, command: &Cmd) -> bool {
    let Some(mut connection) = connection else { return false };
    let told = async {
        let told: RedisResult<()> = command.query_async(&mut connection).await;
        told
    };
    matches!(timeout(ANSWER, told).await, Ok(Ok(())))
}

//! Faults of a running Redis, injected and undone by its own commands, like those of an
//! administrator, another client or a shortage.

use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use clap::ValueEnum as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, cmd};
use tokio::time::{sleep, timeout};

use crate::plan::RedisFault;

/// Longest wait for one command.
const ANSWER: Duration = Duration::from_secs(2);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(50), max: Duration::from_millis(100) };
/// Longest time to undo a fault. A restart of Redis undoes it too.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest time in which a replica asks for a copy.
const HANDSHAKE: Duration = Duration::from_secs(1);
/// Runs for `ARGV[1]` microseconds and changes nothing.
const LONG_SCRIPT: &str = "
    local function now()
      local at = redis.call('TIME')
      return at[1] * 1000000 + at[2]
    end
    local ends = now() + ARGV[1]
    while now() < ends do end";

/// Injects a fault and undoes it after `time`. Returns at once.
pub fn inject(redis: String, fault: RedisFault, time: Duration) {
    tokio::spawn(async move {
        // A command without an answer may have been executed, or may still be.
        let connection = connect(&redis).await;
        for command in commands(fault, time) {
            let _ = send(connection.clone(), &command).await;
        }
        if let Some(end) = undo(fault) {
            sleep(time).await;
            // On the same connection: Redis may accept no other.
            if send(connection, &end).await.is_err() {
                undo_at_last(&redis, &end).await;
            }
        }
    });
}

/// Cuts the replicas of a primary off for `time`. Returns at once.
pub fn cut_replicas(redis: String, time: Duration) {
    tokio::spawn(async move {
        let connection = connect(&redis).await;
        let forbid = words(&["ACL", "SETUSER", "default", "-psync", "-sync", "-replconf"]);
        let _ = send(connection.clone(), &forbid).await;
        let _ = send(connection, &drop_replicas()).await;
        sleep(time).await;
        let_replicas_in(&redis).await;
    });
}

/// Ends [`cut_replicas`].
pub async fn let_replicas_in(redis: &str) {
    undo_now(redis, RedisFault::Locked).await;
    // A replica that was just asking, and was refused PSYNC, falls back to SYNC. Then it copies as
    // replicas did before Redis 2.8 and never says how far it is, so WAIT would not count it.
    sleep(HANDSHAKE).await;
    let _ = send(connect(redis).await, &drop_replicas()).await;
}

/// Undoes a fault, also of a server that is just starting.
pub async fn undo_now(redis: &str, fault: RedisFault) {
    if let Some(end) = undo(fault) {
        undo_at_last(redis, &end).await;
    }
}

/// Undoes all faults.
pub async fn clear(redis: &str) {
    for end in RedisFault::value_variants().iter().filter_map(|fault| undo(*fault)) {
        undo_at_last(redis, &end).await;
    }
}

fn commands(fault: RedisFault, time: Duration) -> Vec<Cmd> {
    match fault {
        RedisFault::ForgetScripts => vec![words(&["SCRIPT", "FLUSH"])],
        RedisFault::Full => vec![words(&["CONFIG", "SET", "maxmemory", "1"])],
        // The primary does not exist: Redis keeps its data and refuses to write.
        RedisFault::ReadOnly => vec![words(&["REPLICAOF", "127.0.0.1", "1"])],
        RedisFault::Pause => {
            vec![words(&["CLIENT", "PAUSE", &time.as_millis().to_string(), "ALL"])]
        }
        RedisFault::DropClients => vec![drop_clients()],
        RedisFault::Busy => vec![
            // Redis refuses other clients after this time; before it, they wait.
            words(&["CONFIG", "SET", "lua-time-limit", "20"]),
            words(&["EVAL", LONG_SCRIPT, "0", &time.as_micros().to_string()]),
        ],
        RedisFault::Crowded => vec![words(&["CONFIG", "SET", "maxclients", "1"]), drop_clients()],
        RedisFault::Locked => vec![words(&["ACL", "SETUSER", "default", "-evalsha", "-xread"])],
        RedisFault::NoReplicas => vec![words(&["CONFIG", "SET", "min-replicas-to-write", "1"])],
    }
}

fn undo(fault: RedisFault) -> Option<Cmd> {
    match fault {
        RedisFault::Full => Some(words(&["CONFIG", "SET", "maxmemory", "0"])),
        RedisFault::ReadOnly => Some(words(&["REPLICAOF", "NO", "ONE"])),
        RedisFault::Crowded => Some(words(&["CONFIG", "SET", "maxclients", "10000"])),
        RedisFault::Locked => Some(words(&["ACL", "SETUSER", "default", "+@all"])),
        RedisFault::NoReplicas => Some(words(&["CONFIG", "SET", "min-replicas-to-write", "0"])),
        // These end without a command.
        RedisFault::ForgetScripts
        | RedisFault::Pause
        | RedisFault::DropClients
        | RedisFault::Busy => None,
    }
}

fn drop_clients() -> Cmd {
    words(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"])
}

fn drop_replicas() -> Cmd {
    words(&["CLIENT", "KILL", "TYPE", "replica"])
}

fn words(words: &[&str]) -> Cmd {
    let mut command = cmd(words[0]);
    command.arg(&words[1..]);
    command
}

async fn undo_at_last(redis: &str, command: &Cmd) {
    let retry = Retry::within(BACKOFF, LIMIT);
    // After the limit the fault stays, and the run fails.
    let _ = retry.run(|()| true, || async { send(connect(redis).await, command).await }).await;
}

async fn connect(redis: &str) -> Option<MultiplexedConnection> {
    // `send` bounds the wait, not the client.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let connected =
        async { Client::open(redis)?.get_multiplexed_async_connection_with_config(&config).await };
    timeout(ANSWER, connected).await.ok()?.ok()
}

/// Sends a command. Fails unless Redis answers in time and without an error.
async fn send(connection: Option<MultiplexedConnection>, command: &Cmd) -> Result<(), ()> {
    let mut connection = connection.ok_or(())?;
    let answer = timeout(ANSWER, command.exec_async(&mut connection));
    answer.await.map_err(|_| ())?.map_err(|_| ())
}

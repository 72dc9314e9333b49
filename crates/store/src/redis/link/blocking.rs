//! Calls that block: each has a connection of its own while it runs.

use std::sync::Arc;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, ServerErrorKind, Value};
use ::redis::{from_redis_value, pipe};
use tokio::time::{Instant, timeout, timeout_at};

use super::super::fault::{ConnectionAction, classify};
use super::{Link, Live};
use crate::{Result, StoreError};

impl Link {
    /// Runs a command that may block for `wait`. A caller that makes no other calls must notice too
    /// that the server is of no use any more.
    pub(in super::super) async fn run_blocking<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
        wait: Duration,
    ) -> Result<T> {
        // While Redis is away, only the task behind `live` tries to connect.
        let live = self.live().await?;
        let mut connection = self.spare(&live, Instant::now() + self.deadline).await?;
        let call = command.query_async(&mut connection);
        let answer: Value = match timeout(self.deadline.saturating_add(wait), call).await {
            Ok(answer) => answer.map_err(|error| self.failed(live.generation, &error))?,
            Err(_) => return Err(self.overdue(live.generation)),
        };
        self.spares.give_back(live.generation, connection);
        Ok(from_redis_value(answer)?)
    }

    /// Runs a script that writes, and answers only once as many replicas as asked for have it.
    pub(in super::super) async fn run_replicated<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
    ) -> Result<T> {
        let (answer, had) = self.run_counted(command).await?;
        self.check_replicas(had)?;
        Ok(answer)
    }

    /// Whether so many replicas are enough.
    pub(in super::super) fn check_replicas(&self, had: u8) -> Result<()> {
        let wanted = self.acknowledge_replicas;
        if had < wanted { Err(StoreError::NotReplicated { wanted, had }) } else { Ok(()) }
    }

    /// Runs a script that writes, waits for the replicas, and returns how many of them have it.
    pub(in super::super) async fn run_counted<T: FromRedisValue>(
        self: &Arc<Self>,
        command: &Cmd,
    ) -> Result<(T, u8)> {
        if self.acknowledge_replicas == 0 {
            return Ok((self.run(command).await?, 0));
        }
        let until = Instant::now() + self.deadline;
        let live = self.live().await?;
        let mut connection = self.spare(&live, until).await?;
        let call = self.replicated(command, &mut connection, until);
        let rest = until.saturating_duration_since(Instant::now());
        let answers = match timeout(rest, call).await {
            Ok(answers) => answers.map_err(|error| self.failed(live.generation, &error))?,
            Err(_) => return Err(self.overdue(live.generation)),
        };
        self.spares.give_back(live.generation, connection);
        let refused = |error: ::redis::RedisError| self.failed(live.generation, &error);
        let [answer, barrier, had] = answers;
        let answer = answer.map_err(refused)?;
        // Without a write of its own, WAIT has asked about an older one.
        barrier.map_err(refused)?;
        let had = from_redis_value(had.map_err(refused)?)?;
        let wanted = self.acknowledge_replicas;
        if had < wanted {
            self.miss_replicas(live.generation, &StoreError::NotReplicated { wanted, had });
        } else {
            self.doubts.unreplicated.end();
        }
        Ok((from_redis_value(answer)?, had))
    }

    /// The answers of the script, the barrier and WAIT.
    async fn replicated(
        &self,
        command: &Cmd,
        connection: &mut MultiplexedConnection,
        until: Instant,
    ) -> RedisResult<[RedisResult<Value>; 3]> {
        loop {
            // So that the answer arrives before the deadline, also if too few replicas have it.
            let wait = until.saturating_duration_since(Instant::now()) * 3 / 4;
            let mut calls = pipe();
            calls.add_command(command.clone());
            // WAIT asks about the last write of its connection. A repeat changes nothing, so it
            // would ask about an older one: the barrier is a write of its own.
            calls.cmd("INCR").arg(&self.keys.barrier);
            calls.cmd("WAIT").arg(self.acknowledge_replicas).arg(wait.as_millis().max(1) as u64);
            let answers: Vec<RedisResult<Value>> =
                calls.ignore_errors().query_async(connection).await?;
            let no_script = ErrorKind::Server(ServerErrorKind::NoScript);
            if matches!(answers.first(), Some(Err(error)) if error.kind() == no_script) {
                self.scripts.load(connection).await?;
                continue;
            }
            let wrong = |_| (ErrorKind::Parse, "a pipeline of three has other answers").into();
            return <[_; 3]>::try_from(answers).map_err(wrong);
        }
    }

    /// A connection for one call alone, at most until then.
    async fn spare(self: &Arc<Self>, live: &Live, until: Instant) -> Result<MultiplexedConnection> {
        if let Some(connection) = self.spares.take(live.generation) {
            return Ok(connection);
        }
        let dialed = timeout_at(until, self.locator.connect((*live.info).clone())).await;
        let dialed = dialed.unwrap_or(Err(StoreError::Timeout(self.deadline)));
        dialed.inspect_err(|error| self.refuse(live.generation, error))
    }

    /// The error of a call that has failed, after doing what it means for the connection.
    pub(super) fn failed(
        self: &Arc<Self>,
        generation: u64,
        error: &::redis::RedisError,
    ) -> StoreError {
        let (error, action) = classify(error);
        match action {
            ConnectionAction::Replace => self.replace(generation, &error),
            ConnectionAction::Keep => self.refuse(generation, &error),
        }
        error
    }

    /// The error of a call that was not answered in time. The network may have lost the server: a
    /// new connection may reach it.
    pub(super) fn overdue(self: &Arc<Self>, generation: u64) -> StoreError {
        let error = StoreError::Timeout(self.deadline);
        self.replace(generation, &error);
        error
    }
}

//! Connects to one server, and asks whether it is the primary.

use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ConnectionInfo, FromRedisValue as _, RedisResult, Value};
use tokio::time::timeout;

use super::fault::classify;
use super::tls::RedisTls;
use crate::{Result, StoreError};

/// Limit for one of several servers to accept a connection and to say its role. A frozen one must
/// not keep the others waiting.
pub(super) const PROBE: Duration = Duration::from_millis(700);

/// A connection to the server that was found.
pub(super) struct Located {
    pub(super) connection: MultiplexedConnection,
    pub(super) info: ConnectionInfo,
}

/// Connects within a limit.
pub(super) async fn dial(
    tls: &RedisTls,
    info: ConnectionInfo,
    limit: Duration,
) -> Result<MultiplexedConnection> {
    // The client's own limit of 500 ms would cut off blocking commands; the callers set theirs.
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(limit)).set_response_timeout(None);
    let address = info.addr().to_string();
    let connected = async {
        let client = tls.client(info).await?;
        client.get_multiplexed_async_connection_with_config(&config).await
    };
    let failed = |why: &str| StoreError::Unavailable(format!("{address}: {why}"));
    match timeout(limit, connected).await {
        Ok(Ok(connection)) => Ok(connection),
        // Also an unexpected error can pass: too many clients, for one.
        Ok(Err(error)) => Err(failed(&error.to_string())),
        Err(_) => Err(failed(&format!("no connection within {limit:?}"))),
    }
}

/// Whether the server says that it is no primary. One that doesn't know ROLE, or forbids it, may be
/// one.
pub(super) async fn is_replica(
    connection: &mut MultiplexedConnection,
    limit: Duration,
) -> Result<bool> {
    let role: RedisResult<Value> = match timeout(limit, role(connection)).await {
        Ok(answer) => answer,
        Err(_) => return Err(StoreError::Timeout(limit)),
    };
    match role {
        Ok(role) => Ok(says_replica(&role)),
        Err(error) if error.is_unrecoverable_error() => Err(classify(&error).0),
        Err(_) => Ok(false),
    }
}

async fn role(connection: &mut MultiplexedConnection) -> RedisResult<Value> {
    ::redis::cmd("ROLE").query_async(connection).await
}

pub(super) fn says_replica(role: &Value) -> bool {
    let Value::Array(fields) = role else { return false };
    let role = fields.first().and_then(|field| String::from_redis_value_ref(field).ok());
    role.is_some_and(|role| role != "master")
}

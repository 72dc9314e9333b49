//! A copy of all data, as a primary sends it to a new replica.
//!
//! ```text
//!   AUTH, REPLCONF capa eof, REPLCONF rdb-only 1, PSYNC ? -1
//!     <- +FULLRESYNC <id> <offset>
//!     <- \n \n …                    while the primary prepares the copy
//!     <- $<length>                  then so many bytes                     (from a file)
//!      | $EOF:<40 characters>       then bytes up to these characters      (while it is made)
//! ```
//!
//! `rdb-only` keeps the primary from collecting what changes meanwhile, and from counting this
//! connection as a replica that has the data. Redis knows it since 6.2.

mod reader;
mod stream;

pub(crate) use self::reader::RdbReader;
pub(crate) use self::stream::CopyConnection;

use ::redis::Value;
use tokio::time::timeout;

use super::RedisConfig;
use super::dial::Located;
use super::fault::classify;
use super::keys::Keys;
use crate::StoreError;
use crate::backup::BackupError;

/// The server that sends the copy, and what it says of the data.
pub(crate) struct CopiedSource {
    /// The server and its version.
    pub(crate) server: String,
    pub(crate) schema: u32,
    pub(crate) epoch: String,
    /// How to get the copy.
    pub(crate) connection: CopyConnection,
}

/// Finds the primary, and asks it about the queue.
pub(crate) async fn find(config: &RedisConfig) -> Result<CopiedSource, BackupError> {
    let Keys { term, meta, .. } = Keys::of(&config.queue);
    let Located { mut connection, info } = config.locator()?.find(&term, &meta).await?;
    match info.redis_settings().db() {
        0 => {}
        other => return Err(BackupError::OtherDatabase(other)),
    }
    let mut asked = ::redis::cmd("HMGET");
    asked.arg(&meta).arg("schema").arg("epoch");
    let answer = timeout(config.deadline, asked.query_async(&mut connection)).await;
    let answer = answer.map_err(|_| StoreError::Timeout(config.deadline))?;
    let (schema, epoch): (Option<u32>, Option<String>) =
        answer.map_err(|error| classify(&error).0)?;
    // Only for the description, and not granted to every user.
    let mut asked = ::redis::cmd("INFO");
    asked.arg("server");
    let server = timeout(config.deadline, asked.query_async::<Value>(&mut connection)).await;
    let server = server.ok().and_then(Result::ok).unwrap_or(Value::Nil);
    let (Some(schema), Some(epoch)) = (schema, epoch) else {
        return Err(BackupError::NoData(config.queue.to_string()));
    };
    let connection = CopyConnection::new(info, config.tls.clone());
    Ok(CopiedSource { server: version(&server), schema, epoch, connection })
}

/// `redis 7.4.1` or `valkey 8.0.1`.
fn version(info: &Value) -> String {
    let text: String = ::redis::from_redis_value_ref(info).unwrap_or_default();
    let field = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map(|version| version.trim().to_owned())
    };
    if let Some(version) = field("valkey_version") {
        return format!("valkey {version}");
    }
    format!(
        "redis {}",
        field("redis_version").unwrap_or_else(|| "of an unknown version".to_owned())
    )
}

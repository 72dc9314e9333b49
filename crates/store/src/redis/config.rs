//! The settings of a Redis store.

use std::fmt;
use std::time::Duration;

use ::redis::RedisConnectionInfo;
use bookingq_core::{QueueName, defaults};

use super::address::RedisAddress;
use super::locator::Locator;
use super::tls::RedisTls;
use crate::StoreError;

/// Settings of a Redis store.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][,host[:port]…][/db]`: a server, or several of which one
    /// is the primary. `redis-sentinel://…#name`: the primary that sentinels know by this name.
    /// `redis-cluster://…`: nodes of a Cluster. `rediss…` for TLS.
    pub url: String,
    /// Certificates of connections by `rediss…`.
    pub tls: RedisTls,
    /// How to log in at sentinels. The URL has the credentials of the data.
    pub sentinel: SentinelLogin,
    /// Replicas that must have a join, a payment, a cancellation or a settlement before the caller
    /// gets an answer, and a claim before its tasks are handed out.
    pub acknowledge_replicas: u8,
    /// The queue.
    pub queue: QueueName,
    /// Limit of each call, connecting included.
    pub deadline: Duration,
    /// How long a final booking can still be read.
    pub retention: Duration,
    /// Outbox entries kept, approximately. An entry has the events of one store call: 1 when idle,
    /// up to 256 under load.
    pub outbox_entries: usize,
}

/// How to log in at sentinels.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SentinelLogin {
    /// The user of an ACL.
    pub username: Option<String>,
    /// Its password, or that of `requirepass`.
    pub password: Option<String>,
}

impl RedisConfig {
    /// The defaults.
    pub fn new(url: impl Into<String>, queue: QueueName) -> Self {
        Self {
            url: url.into(),
            tls: RedisTls::default(),
            sentinel: SentinelLogin::default(),
            acknowledge_replicas: 0,
            queue,
            deadline: defaults::REDIS_DEADLINE,
            retention: defaults::RETENTION,
            outbox_entries: defaults::OUTBOX_ENTRIES as usize,
        }
    }

    /// Checks the URL, without connecting.
    ///
    /// # Errors
    /// [`StoreError::Settings`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.locator().map(drop)
    }

    pub(super) fn locator(&self) -> Result<Locator, StoreError> {
        let address = RedisAddress::parse(&self.url)?;
        if self.tls != RedisTls::default() && !address.has_tls() {
            let problem = "the URL must be rediss://…, because certificates are given";
            return Err(StoreError::Settings(problem.to_owned()));
        }
        if self.sentinel != SentinelLogin::default() && !address.has_sentinels() {
            let problem = "the URL must be redis-sentinel://…, because a login for it is given";
            return Err(StoreError::Settings(problem.to_owned()));
        }
        let mut login = RedisConnectionInfo::default();
        if let Some(username) = &self.sentinel.username {
            login = login.set_username(username);
        }
        if let Some(password) = &self.sentinel.password {
            login = login.set_password(password);
        }
        Ok(Locator::new(address, self.tls.clone(), login, self.deadline))
    }

    /// Adds a password to the URL; it may hold any character.
    ///
    /// # Errors
    /// [`StoreError::Settings`] if the URL is invalid or has a password already.
    pub fn with_password(mut self, password: &str) -> Result<Self, StoreError> {
        let settings = |problem: &str| StoreError::Settings(problem.to_owned());
        let (scheme, rest) =
            self.url.split_once("://").ok_or_else(|| settings("the URL has no ://"))?;
        let (user, host) = rest.split_once('@').unwrap_or(("", rest));
        if user.contains(':') {
            return Err(settings(
                "the URL has a password already, and another one is given beside it",
            ));
        }
        self.url = format!("{scheme}://{user}:{}@{host}", percent_encoded(password));
        Ok(self)
    }
}

fn percent_encoded(text: &str) -> String {
    const HEX: [u8; 16] = *b"0123456789ABCDEF";
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
            encoded.extend(['%', char::from(high), char::from(low)]);
        }
    }
    encoded
}

impl fmt::Debug for RedisConfig {
    /// Without the URL, which may carry a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("tls", &self.tls)
            .field("acknowledge_replicas", &self.acknowledge_replicas)
            .field("queue", &self.queue)
            .field("deadline", &self.deadline)
            .field("retention", &self.retention)
            .field("outbox_entries", &self.outbox_entries)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SentinelLogin {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(url: &str, password: &str) -> Result<String, StoreError> {
        let config = RedisConfig::new(url, QueueName::new("q").unwrap());
        config.with_password(password).map(|config| config.url)
    }

    #[test]
    fn a_separate_password_may_hold_any_character() {
        assert_eq!(with("redis://a:1/0", "p@s/s:").unwrap(), "redis://:p%40s%2Fs%3A@a:1/0");
        assert_eq!(with("rediss://ann@a:1", "x").unwrap(), "rediss://ann:x@a:1");
        assert!(matches!(with("redis://ann:y@a:1", "x"), Err(StoreError::Settings(_))));
    }
}

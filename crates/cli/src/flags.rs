//! Flags that several subcommands share, and their conversion to typed values.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bookingq_api::DurationString;
use bookingq_api::args::{RedisArgs, ServiceArgs};
use bookingq_core::{QueueName, defaults};
use bookingq_serve::tls::{ClientTls, Identity};
use bookingq_store::RedisConfig;
use bookingq_worker::config::Downstream;

use crate::failure::Failure;

/// A duration flag: `200ms`, `30s`, `1h30m`.
pub fn duration(text: &str) -> Result<Duration, bookingq_api::duration::InvalidDuration> {
    text.parse().map(DurationString::get)
}

/// The store's settings for `queue`.
pub async fn redis_config(args: RedisArgs, queue: QueueName) -> Result<RedisConfig, Failure> {
    let url = args.url.unwrap_or_else(|| defaults::REDIS_URL.to_owned());
    let mut config =
        with_password(RedisConfig::new(url, queue), args.password_file.as_deref()).await?;
    config.deadline = args.deadline.get();
    config.retention = args.retention.get();
    config.outbox_entries = args.outbox_entries as usize;
    Ok(config)
}

/// Adds the password that a file contains, if there is one.
pub async fn with_password(
    config: RedisConfig,
    file: Option<&Path>,
) -> Result<RedisConfig, Failure> {
    let Some(file) = file else { return Ok(config) };
    let text = tokio::fs::read_to_string(file)
        .await
        .with_context(|| format!("cannot read --redis-password-file {}", file.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    config.with_password(password).map_err(|error| Failure::usage(error.to_string()))
}

/// A certificate with its key, or neither.
pub fn identity(
    what: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Identity>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(Failure::usage(format!("--{what}-cert and --{what}-key must be set together"))),
    }
}

/// The service `what` at `endpoint`, called as `args` say.
pub fn downstream(
    what: &str,
    endpoint: String,
    args: impl Into<ServiceArgs>,
) -> Result<Downstream, Failure> {
    let args = args.into();
    let identity = identity(&format!("{what}-tls"), args.certificate, args.key)?;
    let tls = ClientTls { ca: args.ca, identity, server_name: args.server_name };
    let secure = endpoint.starts_with("https://");
    if !secure && !endpoint.starts_with("http://") {
        return Err(Failure::usage(format!(
            "--{what} is {endpoint:?}; allowed: http://HOST:PORT or https://HOST:PORT"
        )));
    }
    if !secure && tls != ClientTls::default() {
        return Err(Failure::usage(format!(
            "--{what}-tls-… requires an endpoint that starts with https://"
        )));
    }
    Ok(Downstream { endpoint, timeout: args.timeout.get(), tls })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_without_its_certificate_is_refused() {
        let refused = identity("tls", None, Some("key.pem".into()));
        assert!(
            matches!(refused, Err(Failure::Usage(text)) if text.contains("--tls-cert and --tls-key"))
        );
    }
}

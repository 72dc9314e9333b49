//! Flags that several subcommands share, and how each becomes a typed value.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use bookingq_api::DurationString;
use bookingq_core::QueueName;
use bookingq_serve::tls::{ClientTls, Identity};
use bookingq_store::RedisConfig;
use bookingq_worker::config::Downstream;
use clap::Args;

use crate::failure::Failure;

/// A duration flag: `200ms`, `30s`, `1h30m`.
pub fn duration(text: &str) -> Result<Duration, bookingq_api::duration::InvalidDuration> {
    text.parse().map(DurationString::get)
}

/// Which Redis.
#[derive(Debug, Args)]
#[command(next_help_heading = "Redis")]
pub struct RedisFlags {
    /// Where Redis is: redis://HOST:PORT[/DB], or rediss:// for TLS
    #[arg(
        long = "redis",
        env = "BOOKINGQ_REDIS",
        hide_env_values = true,
        value_name = "URL",
        default_value = "redis://127.0.0.1:6379"
    )]
    url: String,
    /// File that holds the password, so that it stands in no process list
    #[arg(long = "redis-password-file", env = "BOOKINGQ_REDIS_PASSWORD_FILE", value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Deadline of one Redis call
    #[arg(long = "redis-deadline", env = "BOOKINGQ_REDIS_DEADLINE", value_name = "TIME", default_value = "2s", value_parser = duration)]
    deadline: Duration,
    /// How long a decided booking can still be looked up
    #[arg(long, env = "BOOKINGQ_RETENTION", value_name = "TIME", default_value = "24h", value_parser = duration)]
    retention: Duration,
    /// Outbox entries kept for followers, about; an entry has the events of one store call, 1 to
    /// 256
    #[arg(long, env = "BOOKINGQ_OUTBOX_ENTRIES", value_name = "N", default_value_t = 30_000, value_parser = clap::value_parser!(u32).range(1000..))]
    outbox_entries: u32,
}

impl RedisFlags {
    /// The store's settings for `queue`.
    pub async fn resolve(self, queue: QueueName) -> Result<RedisConfig, Failure> {
        let config = RedisConfig::new(self.url, queue);
        let mut config = with_password(config, self.password_file.as_deref()).await?;
        config.deadline = self.deadline;
        config.retention = self.retention;
        config.outbox_entries = self.outbox_entries as usize;
        Ok(config)
    }
}

/// The settings with the password that a file holds, if there is one.
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

/// A certificate and its key belong together.
pub fn identity(
    what: &str,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<Identity>, Failure> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(Failure::usage(format!(
            "--{what}-cert and --{what}-key belong together: give both or none"
        ))),
    }
}

/// Checks and builds a service that is called.
pub fn downstream(
    what: &str,
    endpoint: String,
    timeout: Duration,
    tls: ClientTls,
) -> Result<Downstream, Failure> {
    let secure = endpoint.starts_with("https://");
    if !secure && !endpoint.starts_with("http://") {
        return Err(Failure::usage(format!(
            "--{what} is {endpoint:?}; allowed: http://HOST:PORT or https://HOST:PORT"
        )));
    }
    if !secure && tls != ClientTls::default() {
        return Err(Failure::usage(format!(
            "--{what}-tls-… needs an endpoint that starts with https://"
        )));
    }
    Ok(Downstream { endpoint, timeout, tls })
}

/// The flags that say how one service is called: its time-out and its TLS.
macro_rules! call_flags {
    ($(#[$doc:meta])* $name:ident, $word:literal, $env:literal, $heading:literal) => {
        $(#[$doc])*
        #[derive(Debug, Args)]
        #[command(next_help_heading = $heading)]
        pub struct $name {
            /// Deadline of one call to it
            #[arg(id = concat!($word, "-timeout"), long = concat!($word, "-timeout"), env = concat!("BOOKINGQ_", $env, "_TIMEOUT"),
                value_name = "TIME", default_value = "3s", value_parser = duration)]
            timeout: Duration,
            /// Certificate authority to trust for it (PEM) [default: the system's]
            #[arg(id = concat!($word, "-tls-ca"), long = concat!($word, "-tls-ca"), env = concat!("BOOKINGQ_", $env, "_TLS_CA"), value_name = "FILE")]
            ca: Option<PathBuf>,
            /// Our certificate towards it (PEM), for mTLS
            #[arg(id = concat!($word, "-tls-cert"), long = concat!($word, "-tls-cert"), env = concat!("BOOKINGQ_", $env, "_TLS_CERT"), value_name = "FILE")]
            certificate: Option<PathBuf>,
            /// Our key towards it (PEM), for mTLS
            #[arg(id = concat!($word, "-tls-key"), long = concat!($word, "-tls-key"), env = concat!("BOOKINGQ_", $env, "_TLS_KEY"), value_name = "FILE")]
            key: Option<PathBuf>,
            /// Name expected in its certificate [default: the endpoint's host]
            #[arg(id = concat!($word, "-tls-server-name"), long = concat!($word, "-tls-server-name"), env = concat!("BOOKINGQ_", $env, "_TLS_SERVER_NAME"), value_name = "NAME")]
            server_name: Option<String>,
        }

        impl $name {
            /// The service at `endpoint`, called as these flags say.
            pub fn resolve(self, endpoint: String) -> Result<Downstream, Failure> {
                let identity = identity(concat!($word, "-tls"), self.certificate, self.key)?;
                let tls = ClientTls { ca: self.ca, identity, server_name: self.server_name };
                downstream($word, endpoint, self.timeout, tls)
            }
        }
    };
}

call_flags!(
    /// How the Booking Service is called.
    BookingFlags, "booking", "BOOKING", "Booking Service"
);
call_flags!(
    /// How the Ticket Service is called.
    TicketFlags, "ticket", "TICKET", "Ticket Service"
);
call_flags!(
    /// How the Realtime Service is called.
    RealtimeFlags, "realtime", "REALTIME", "Realtime Service"
);

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

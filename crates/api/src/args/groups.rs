//! The groups of arguments that the processes of a queue share.

use std::path::PathBuf;
use std::time::Duration;

use bookingq_core::backoff::{Backoff, RetryPolicy};
use bookingq_core::defaults;
use clap::{Args, value_parser};

use super::{ArgsWriter, InvalidArgs};
use crate::duration::DurationString;
use crate::plan::Plan;

/// Which Redis, and what is kept there.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Redis")]
pub struct RedisArgs {
    /// Address of Redis: redis://HOST:PORT[/DB], or rediss:// for TLS [default:
    /// redis://127.0.0.1:6379]
    #[arg(long = "redis", env = "BOOKINGQ_REDIS", hide_env_values = true, value_name = "URL")]
    pub url: Option<String>,
    /// File with the password, which keeps it out of the process list
    #[arg(long = "redis-password-file", env = "BOOKINGQ_REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Deadline of one Redis call
    #[arg(
        long = "redis-deadline",
        env = "BOOKINGQ_REDIS_DEADLINE",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::REDIS_DEADLINE)
    )]
    pub deadline: DurationString,
    /// Time for which a decided booking can still be looked up
    #[arg(
        long,
        env = "BOOKINGQ_RETENTION",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::RETENTION)
    )]
    pub retention: DurationString,
    /// Outbox entries kept for followers, approximately; an entry holds the events of one store
    /// call, 1 to 256
    #[arg(
        long,
        env = "BOOKINGQ_OUTBOX_ENTRIES",
        value_name = "N",
        default_value_t = defaults::OUTBOX_ENTRIES,
        value_parser = value_parser!(u32).range(1000..)
    )]
    pub outbox_entries: u32,
}

impl RedisArgs {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { retention: DurationString::new(plan.retention), ..Self::default() }
    }

    pub(super) fn write(&self, writer: &mut ArgsWriter) {
        writer.some("redis", self.url.as_ref());
        writer.path("redis-password-file", self.password_file.as_ref());
        let default = Self::default();
        writer.unless_default("redis-deadline", self.deadline, default.deadline);
        writer.flag("retention", self.retention);
        writer.unless_default("outbox-entries", self.outbox_entries, default.outbox_entries);
    }
}

impl Default for RedisArgs {
    fn default() -> Self {
        Self {
            url: None,
            password_file: None,
            deadline: DurationString::new(defaults::REDIS_DEADLINE),
            retention: DurationString::new(defaults::RETENTION),
            outbox_entries: defaults::OUTBOX_ENTRIES,
        }
    }
}

/// How bookings are processed.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Processing")]
pub struct ProcessingArgs {
    /// Tasks to run at once
    #[arg(
        long,
        env = "BOOKINGQ_CONCURRENCY",
        value_name = "N",
        default_value_t = defaults::CONCURRENCY,
        value_parser = value_parser!(u32).range(1..=10_000)
    )]
    pub concurrency: u32,
    /// Time after which another worker may claim the task of a silent one
    #[arg(
        long,
        env = "BOOKINGQ_LEASE",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::LEASE)
    )]
    pub lease: DurationString,
    /// Time to pay for a reservation
    #[arg(
        long,
        env = "BOOKINGQ_HOLD",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::HOLD)
    )]
    pub hold: DurationString,
    /// Failed attempts to reserve after which a booking fails
    #[arg(
        long,
        env = "BOOKINGQ_RETRY_ATTEMPTS",
        value_name = "N",
        default_value_t = defaults::RETRY.attempts,
        value_parser = value_parser!(u32).range(1..=100)
    )]
    pub retry_attempts: u32,
    /// Wait before the first retry; each further wait is twice as long
    #[arg(
        long,
        env = "BOOKINGQ_RETRY_INITIAL",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::RETRY.backoff.initial)
    )]
    pub retry_initial: DurationString,
    /// Longest wait between two attempts
    #[arg(
        long,
        env = "BOOKINGQ_RETRY_MAX",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::RETRY.backoff.max)
    )]
    pub retry_max: DurationString,
}

impl ProcessingArgs {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            concurrency: plan.worker.concurrency,
            lease: DurationString::new(plan.worker.lease),
            hold: DurationString::new(plan.hold),
            retry_attempts: plan.retry.attempts,
            retry_initial: DurationString::new(plan.retry.backoff.initial),
            retry_max: DurationString::new(plan.retry.backoff.max),
        }
    }

    pub(super) fn write(&self, writer: &mut ArgsWriter) {
        writer.flag("concurrency", self.concurrency);
        writer.flag("lease", self.lease);
        writer.flag("hold", self.hold);
        writer.flag("retry-attempts", self.retry_attempts);
        writer.flag("retry-initial", self.retry_initial);
        writer.flag("retry-max", self.retry_max);
    }

    /// When the Booking Service is called again.
    ///
    /// # Errors
    /// [`InvalidArgs`] if the first wait is zero or longer than the longest.
    pub fn retry(&self) -> Result<RetryPolicy, InvalidArgs> {
        let backoff = Backoff { initial: self.retry_initial.get(), max: self.retry_max.get() };
        if backoff.initial.is_zero() || backoff.initial > backoff.max {
            return Err(InvalidArgs {
                flag: "retry-initial".to_owned(),
                value: self.retry_initial.to_string(),
                allowed: format!("above 0s and at most --retry-max ({})", self.retry_max),
            });
        }
        Ok(RetryPolicy { attempts: self.retry_attempts, backoff })
    }

    /// The lease.
    ///
    /// # Errors
    /// [`InvalidArgs`] if it is too short to be renewed.
    pub fn lease(&self) -> Result<Duration, InvalidArgs> {
        if self.lease.get() < Duration::from_secs(1) {
            return Err(InvalidArgs {
                flag: "lease".to_owned(),
                value: self.lease.to_string(),
                allowed: "1s and more".to_owned(),
            });
        }
        Ok(self.lease.get())
    }
}

/// How a worker shuts down.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "Shutdown")]
pub struct DrainArgs {
    /// Time to shut down after SIGTERM
    #[arg(
        long,
        env = "BOOKINGQ_GRACE",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::GRACE)
    )]
    pub grace: DurationString,
    /// Part of --grace during which new connections are still accepted, because endpoints lag
    #[arg(
        long,
        env = "BOOKINGQ_LINGER",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::LINGER)
    )]
    pub linger: DurationString,
}

/// Limits and TLS of the gRPC port.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(next_help_heading = "gRPC port")]
pub struct ServerArgs {
    /// Certificate chain (PEM); without it the port speaks plain text
    #[arg(long = "tls-cert", env = "BOOKINGQ_TLS_CERT", value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Private key (PEM)
    #[arg(long = "tls-key", env = "BOOKINGQ_TLS_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Require client certificates signed by this authority (mTLS)
    #[arg(
        long = "tls-client-ca",
        env = "BOOKINGQ_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "certificate"
    )]
    pub client_ca: Option<PathBuf>,
    /// Age after which a connection is asked to reconnect, so that new workers get their share
    #[arg(
        long = "max-connection-age",
        env = "BOOKINGQ_MAX_CONNECTION_AGE",
        value_name = "TIME",
        default_value_t = DurationString::new(defaults::MAX_CONNECTION_AGE)
    )]
    pub connection_age: DurationString,
    /// Requests in progress at once; further ones are refused with OVERLOADED
    #[arg(
        long = "max-requests",
        env = "BOOKINGQ_MAX_REQUESTS",
        value_name = "N",
        default_value_t = defaults::MAX_REQUESTS,
        value_parser = value_parser!(u32).range(1..=1_000_000)
    )]
    pub requests: u32,
    /// Open WatchStatus streams; further ones are refused with OVERLOADED
    #[arg(
        long = "max-watches",
        env = "BOOKINGQ_MAX_WATCHES",
        value_name = "N",
        default_value_t = defaults::MAX_WATCHES,
        value_parser = value_parser!(u32).range(1..=10_000_000)
    )]
    pub watches: u32,
}

impl ServerArgs {
    pub(super) fn write(&self, writer: &mut ArgsWriter) {
        writer.path("tls-cert", self.certificate.as_ref());
        writer.path("tls-key", self.key.as_ref());
        writer.path("tls-client-ca", self.client_ca.as_ref());
        let default = Self::default();
        writer.unless_default("max-connection-age", self.connection_age, default.connection_age);
        writer.unless_default("max-requests", self.requests, default.requests);
        writer.unless_default("max-watches", self.watches, default.watches);
    }
}

impl Default for ServerArgs {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            client_ca: None,
            connection_age: DurationString::new(defaults::MAX_CONNECTION_AGE),
            requests: defaults::MAX_REQUESTS,
            watches: defaults::MAX_WATCHES,
        }
    }
}

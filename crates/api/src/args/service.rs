//! Calls to one service: the same flags for each service, and for the workers.

use std::path::PathBuf;

use bookingq_core::defaults;
use clap::Args;
use serde::Serialize;

use super::with_env;
use crate::duration::DurationString;
use crate::plan::ServicePlan;

const TIMEOUT: DurationString = DurationString::new(defaults::CALL_TIMEOUT);

/// The flags of any service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceArgs {
    /// Deadline of one call.
    pub timeout: DurationString,
    /// Certificate authority that signs the service's certificate.
    pub ca: Option<PathBuf>,
    /// Client certificate.
    pub certificate: Option<PathBuf>,
    /// Client key.
    pub key: Option<PathBuf>,
    /// Name expected in the service's certificate.
    pub server_name: Option<String>,
}

impl ServiceArgs {
    /// The flags for the plan, without the files of its Secret.
    pub fn of(service: &ServicePlan) -> Self {
        let server_name = service.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let timeout = DurationString::new(service.timeout);
        Self { timeout, server_name, ..Self::default() }
    }
}

impl Default for ServiceArgs {
    fn default() -> Self {
        Self { timeout: TIMEOUT, ca: None, certificate: None, key: None, server_name: None }
    }
}

/// The flags of one service: clap needs the name of each flag at compile time.
macro_rules! service_args {
    ($(#[$doc:meta])* $name:ident, $service:literal, $heading:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Args, Serialize)]
        #[command(next_help_heading = $heading, mut_args = with_env)]
        pub struct $name {
            /// Deadline of one call
            #[arg(
                id = concat!($service, "-timeout"), long = concat!($service, "-timeout"),
                value_name = "TIME", default_value_t = TIMEOUT
            )]
            timeout: DurationString,
            /// Certificate authority that signs its certificate (PEM) [default: the system's]
            #[arg(
                id = concat!($service, "-tls-ca"), long = concat!($service, "-tls-ca"),
                value_name = "FILE"
            )]
            #[serde(rename = "tls-ca")]
            ca: Option<PathBuf>,
            /// Client certificate (PEM), for mTLS
            #[arg(
                id = concat!($service, "-tls-cert"), long = concat!($service, "-tls-cert"),
                value_name = "FILE"
            )]
            #[serde(rename = "tls-cert")]
            certificate: Option<PathBuf>,
            /// Client key (PEM), for mTLS
            #[arg(
                id = concat!($service, "-tls-key"), long = concat!($service, "-tls-key"),
                value_name = "FILE"
            )]
            #[serde(rename = "tls-key")]
            key: Option<PathBuf>,
            /// Name expected in its certificate [default: the endpoint's host]
            #[arg(
                id = concat!($service, "-tls-server-name"),
                long = concat!($service, "-tls-server-name"), value_name = "NAME"
            )]
            #[serde(rename = "tls-server-name")]
            server_name: Option<String>,
        }

        impl From<$name> for ServiceArgs {
            fn from(args: $name) -> Self {
                let $name { timeout, ca, certificate, key, server_name } = args;
                Self { timeout, ca, certificate, key, server_name }
            }
        }

        impl From<ServiceArgs> for $name {
            fn from(args: ServiceArgs) -> Self {
                let ServiceArgs { timeout, ca, certificate, key, server_name } = args;
                Self { timeout, ca, certificate, key, server_name }
            }
        }
    };
}

service_args!(
    /// Flags of the Booking Service.
    BookingArgs, "booking", "Booking Service"
);
service_args!(
    /// Flags of the Ticket Service.
    TicketArgs, "ticket", "Ticket Service"
);
service_args!(
    /// Flags of the Realtime Service.
    RealtimeArgs, "realtime", "Realtime Service"
);
service_args!(
    /// Flags of the workers, for the gateway.
    WorkersArgs, "workers", "Workers"
);

//! How one service is called: the same flags for each of the three services.

use std::path::PathBuf;

use bookingq_core::defaults;
use clap::Args;

use super::ArgsWriter;
use crate::duration::DurationString;
use crate::plan::ServicePlan;

/// The call flags of any service.
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
    /// The flags that the plan asks for; the files of its Secret are up to the caller.
    pub fn of(service: &ServicePlan) -> Self {
        let server_name = service.tls.as_ref().and_then(|tls| tls.server_name.clone());
        Self {
            timeout: DurationString::new(service.timeout),
            ca: None,
            certificate: None,
            key: None,
            server_name,
        }
    }

    pub(super) fn write(&self, word: &str, writer: &mut ArgsWriter) {
        writer.flag(&format!("{word}-timeout"), self.timeout);
        writer.path(&format!("{word}-tls-ca"), self.ca.as_ref());
        writer.path(&format!("{word}-tls-cert"), self.certificate.as_ref());
        writer.path(&format!("{word}-tls-key"), self.key.as_ref());
        writer.some(&format!("{word}-tls-server-name"), self.server_name.as_ref());
    }
}

impl Default for ServiceArgs {
    fn default() -> Self {
        Self {
            timeout: DurationString::new(defaults::CALL_TIMEOUT),
            ca: None,
            certificate: None,
            key: None,
            server_name: None,
        }
    }
}

/// The flags of one service: clap wants a name for each flag at compile time.
macro_rules! service_args {
    ($(#[$doc:meta])* $name:ident, $word:literal, $env:literal, $heading:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Args)]
        #[command(next_help_heading = $heading)]
        pub struct $name {
            /// Deadline of one call
            #[arg(
                id = concat!($word, "-timeout"), long = concat!($word, "-timeout"),
                env = concat!("BOOKINGQ_", $env, "_TIMEOUT"), value_name = "TIME",
                default_value_t = DurationString::new(defaults::CALL_TIMEOUT)
            )]
            timeout: DurationString,
            /// Certificate authority that signs its certificate (PEM) [default: the system's]
            #[arg(
                id = concat!($word, "-tls-ca"), long = concat!($word, "-tls-ca"),
                env = concat!("BOOKINGQ_", $env, "_TLS_CA"), value_name = "FILE"
            )]
            ca: Option<PathBuf>,
            /// Client certificate (PEM), for mTLS
            #[arg(
                id = concat!($word, "-tls-cert"), long = concat!($word, "-tls-cert"),
                env = concat!("BOOKINGQ_", $env, "_TLS_CERT"), value_name = "FILE"
            )]
            certificate: Option<PathBuf>,
            /// Client key (PEM), for mTLS
            #[arg(
                id = concat!($word, "-tls-key"), long = concat!($word, "-tls-key"),
                env = concat!("BOOKINGQ_", $env, "_TLS_KEY"), value_name = "FILE"
            )]
            key: Option<PathBuf>,
            /// Name expected in its certificate [default: the endpoint's host]
            #[arg(
                id = concat!($word, "-tls-server-name"), long = concat!($word, "-tls-server-name"),
                env = concat!("BOOKINGQ_", $env, "_TLS_SERVER_NAME"), value_name = "NAME"
            )]
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
    /// How the Booking Service is called.
    BookingArgs, "booking", "BOOKING", "Booking Service"
);
service_args!(
    /// How the Ticket Service is called.
    TicketArgs, "ticket", "TICKET", "Ticket Service"
);
service_args!(
    /// How the Realtime Service is called.
    RealtimeArgs, "realtime", "REALTIME", "Realtime Service"
);

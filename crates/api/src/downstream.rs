//! The services that a queue calls: their addresses, deadlines and certificates.

use std::fmt;

use bookingq_core::{Invalid, defaults};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cel;
use crate::duration::DurationString;

/// A gRPC service that the workers call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = cel::rule(
    "!has(self.tls) || self.endpoint.startsWith('https://')",
    "tls requires an endpoint that starts with https://"
)))]
pub struct DownstreamSpec {
    /// Address of the service, such as `http://booking-service:50051` or
    /// `https://booking.example.com:443`.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^(http|https|simulate)://.+$"))]
    #[schemars(extend("x-kubernetes-validations" = cel::rule(
        "!self.startsWith('simulate://')",
        "simulate:// works with `bookingq up` only; in a cluster, set the address of the service"
    )))]
    pub endpoint: String,
    /// Deadline of one call. Workers retry calls that miss it. 10ms to 5m.
    #[serde(default = "default_timeout")]
    pub timeout: DurationString,
    /// Certificates for an https:// endpoint. By default workers trust the system's certificate
    /// authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
}

/// Certificates for the connection to a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSpec {
    /// Secret in the same namespace. Workers trust the authority in ca.crt, and present tls.crt and
    /// tls.key if they exist (mTLS).
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Name expected in the service's certificate. Defaults to the host of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
}

fn default_timeout() -> DurationString {
    DurationString::new(defaults::CALL_TIMEOUT)
}

/// The address of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A gRPC server: `http://host:port` or `https://host:port`.
    Grpc(String),
    /// Simulated in the process of `bookingq up`: the whole `simulate://role?key=value&…`.
    Simulated(String),
}

/// The addresses that are allowed.
const ENDPOINT_RULE: &str = "http://HOST[:PORT], https://HOST[:PORT], or simulate://booking|ticket|realtime[?KEY=VALUE&…] (only for `bookingq up`)";

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Grpc(text) | Self::Simulated(text)) = self;
        f.write_str(text)
    }
}

impl Endpoint {
    /// Parses an endpoint of the service that plays `role` (booking, ticket or realtime).
    ///
    /// # Errors
    /// [`Invalid`] if it is neither a gRPC address without a path nor a simulation of that role.
    pub fn parse(role: Role, text: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::new("endpoint", text, ENDPOINT_RULE);
        if let Some(simulation) = text.strip_prefix("simulate://") {
            let name = simulation.split('?').next().unwrap_or_default().trim_end_matches('/');
            let fits = name == role.as_str();
            return if fits { Ok(Self::Simulated(text.to_owned())) } else { Err(invalid()) };
        }
        let uri: http::Uri = text.parse().map_err(|_| invalid())?;
        let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
        let bare = uri.path() == "/" && uri.query().is_none();
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if scheme && bare && host && plain {
            Ok(Self::Grpc(text.to_owned()))
        } else {
            Err(invalid())
        }
    }
}

/// Which of the three services one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reserves, confirms and releases tickets.
    Booking,
    /// Knows how many tickets are left.
    Ticket,
    /// Forwards changes to clients.
    Realtime,
}

impl Role {
    /// The name in `simulate://…` and in field paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booking => "booking",
            Self::Ticket => "ticket",
            Self::Realtime => "realtime",
        }
    }
}

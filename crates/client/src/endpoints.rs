//! The workers behind a name, resolved again and again because workers come and go.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use bookingq_core::backoff::Backoff;
use bookingq_core::retry::Retry;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::Uri;

/// Between two lookups. Names of a cluster's Services live for 5 to 30 seconds.
const INTERVAL: Duration = Duration::from_secs(2);
/// Limit of one lookup and of one connection attempt.
const DEADLINE: Duration = Duration::from_secs(2);
const BACKOFF: Backoff =
    Backoff { initial: Duration::from_millis(200), max: Duration::from_secs(1) };

/// Where workers listen: one address, one Service, or a headless Service that resolves to each Pod.
///
/// ```
/// # use bookingq_client::WorkerEndpoints;
/// let endpoints: WorkerEndpoints = "http://concert-workers:50051".parse().unwrap();
/// assert_eq!((endpoints.host.as_str(), endpoints.port), ("concert-workers", 50051));
/// assert!("concert-workers:50051".parse::<WorkerEndpoints>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerEndpoints {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The gRPC port.
    pub port: u16,
    /// Whether the workers expect TLS.
    pub tls: bool,
}

/// Why there are no endpoints.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// Not a URL of a worker.
    #[error("allowed: http://HOST:PORT or https://HOST:PORT")]
    Url,
    /// The name does not resolve.
    #[error("cannot resolve the host {host:?}: {cause}")]
    Lookup {
        /// The name.
        host: String,
        /// What the resolver said.
        cause: io::Error,
    },
}

impl FromStr for WorkerEndpoints {
    type Err = EndpointsError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let uri = Uri::from_str(url).map_err(|_| EndpointsError::Url)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(EndpointsError::Url),
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(EndpointsError::Url);
        }
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { host: host.to_owned(), port, tls })
    }
}

/// The URL.
impl fmt::Display for WorkerEndpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl WorkerEndpoints {
    /// Resolves the name, and publishes every change until the receiver is dropped.
    ///
    /// # Errors
    /// When the name stays unknown for `limit`.
    pub async fn resolve(
        self,
        limit: Duration,
    ) -> Result<watch::Receiver<Vec<SocketAddr>>, EndpointsError> {
        let first = Retry::within(BACKOFF, limit).run(|_| true, || self.look_up()).await;
        let found =
            first.map_err(|cause| EndpointsError::Lookup { host: self.host.clone(), cause })?;
        let family = Family::of(&found).await;
        let (sender, receiver) = watch::channel(family.choose(found));
        tokio::spawn(self.follow(family, sender));
        Ok(receiver)
    }

    async fn follow(self, family: Family, sender: watch::Sender<Vec<SocketAddr>>) {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = sleep(INTERVAL) => {}
            }
            // A failed lookup keeps the addresses known before: they may still work.
            if let Ok(found) = self.look_up().await {
                let found = family.choose(found);
                sender.send_if_modified(|known| {
                    let changed = *known != found;
                    *known = found;
                    changed
                });
            }
        }
    }

    /// Sorted; never empty.
    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the resolver does not answer");
        let found = timeout(DEADLINE, lookup_host((self.host.as_str(), self.port)))
            .await
            .map_err(late)??;
        let mut found: Vec<SocketAddr> = found.collect();
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(found)
    }
}

/// A name may have addresses of both families while the workers listen on one: `localhost` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    /// Of two families, the one whose first address accepts a connection.
    async fn of(found: &[SocketAddr]) -> Self {
        let v4 = found.iter().find(|address| address.is_ipv4());
        let (Some(v4), Some(v6)) = (v4, found.iter().find(|address| address.is_ipv6())) else {
            return Self::Any;
        };
        for (family, address) in [(Self::V6, v6), (Self::V4, v4)] {
            if matches!(timeout(DEADLINE, TcpStream::connect(address)).await, Ok(Ok(_))) {
                return family;
            }
        }
        Self::Any
    }

    /// The addresses of this family; all of them if it has none.
    fn choose(self, found: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let fits = |address: &SocketAddr| match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        };
        let chosen: Vec<SocketAddr> = found.iter().copied().filter(fits).collect();
        if chosen.is_empty() { found } else { chosen }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn of_two_address_families_the_one_that_accepts_connections_is_used() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let v4 = listener.local_addr().unwrap();
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v4.port()));
        let family = Family::of(&[v4, v6]).await;
        assert_eq!(family, Family::V4);
        assert_eq!(family.choose(vec![v4, v6]), [v4]);
        assert_eq!(family.choose(vec![v6]), [v6], "better than none");
    }

    #[tokio::test]
    async fn an_address_resolves_to_itself() {
        let endpoints: WorkerEndpoints = "http://127.0.0.1:7".parse().unwrap();
        let found = endpoints.resolve(Duration::from_secs(10)).await.unwrap();
        assert_eq!(*found.borrow(), ["127.0.0.1:7".parse().unwrap()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_stays_unknown_is_an_error() {
        let endpoints: WorkerEndpoints = "http://no-such-host.invalid:7".parse().unwrap();
        let error = endpoints.resolve(Duration::from_secs(10)).await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }
}

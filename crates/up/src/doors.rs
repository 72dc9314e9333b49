//! The workers behind a name: looked up again and again, because they come and go.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::UpError;

/// Between two look-ups. Names of a cluster's Services live for 5 to 30 seconds.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long one look-up, and one try to connect, may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long a name may be unknown at the start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where workers are: one address, one Service, or a headless Service that names each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doors {
    /// A name or an address, without brackets.
    pub host: String,
    /// The gRPC port.
    pub port: u16,
}

impl Doors {
    /// Looks them up for the first time, and tells every change from then on, for as long as
    /// anybody listens.
    ///
    /// # Errors
    /// When the name stays unknown.
    pub async fn open(self) -> Result<watch::Receiver<Vec<SocketAddr>>, UpError> {
        let until = Instant::now() + PATIENCE;
        let found = loop {
            match self.look_up().await {
                Ok(found) => break found,
                Err(cause) if Instant::now() >= until => {
                    return Err(UpError::NoSuchHost { host: self.host, cause });
                }
                Err(_) => sleep(INTERVAL / 4).await,
            }
        };
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
            // While nobody answers for the name, or it has no workers just now, the ones known
            // before are tried again.
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

    /// In order; never empty.
    async fn look_up(&self) -> io::Result<Vec<SocketAddr>> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "nobody answers for the name");
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

/// A name may have addresses of both kinds while a worker listens on one: `localhost` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    /// The kind whose first address takes a connection, where there are both.
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

    /// Those of this kind; all, if there are none.
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
    async fn of_two_kinds_of_addresses_the_one_is_taken_that_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let v4 = listener.local_addr().unwrap();
        let v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v4.port()));
        let family = Family::of(&[v4, v6]).await;
        assert_eq!(family, Family::V4);
        assert_eq!(family.choose(vec![v4, v6]), [v4]);
        assert_eq!(family.choose(vec![v6]), [v6], "better than none");
    }

    #[tokio::test]
    async fn an_address_is_its_own_name_and_stays() {
        let doors = Doors { host: "127.0.0.1".to_owned(), port: 7 };
        let found = doors.open().await.unwrap();
        assert_eq!(*found.borrow(), ["127.0.0.1:7".parse().unwrap()]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_stays_unknown_is_told() {
        let doors = Doors { host: "no-such-host.invalid".to_owned(), port: 7 };
        let error = doors.open().await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }
}

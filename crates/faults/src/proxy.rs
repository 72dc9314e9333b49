//! A TCP proxy in front of one server that injects network faults into its connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::plan::NetworkFault;

/// Bytes that pass at once: large enough for a script, small enough that a fault takes effect
/// within a reply.
const CHUNK: usize = 16 * 1024;
/// Bytes that a slow reader takes at once, and its pause after them: 26 KB a second.
const DROP: usize = 256;
const REST: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// A proxy of one server. Closed when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct ProxyState {
    fault: watch::Sender<Option<NetworkFault>>,
    /// Ends the present connections. Replaced each time, so that later ones are not affected.
    connections: Mutex<CancellationToken>,
    /// Number of the newest fault: the end of an older one does not clear it.
    newest: Mutex<u64>,
}

impl Proxy {
    /// Listens on a loopback port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let state = Arc::new(ProxyState {
            fault: watch::Sender::new(None),
            connections: Mutex::new(closing.child_token()),
            newest: Mutex::new(0),
        });
        tokio::spawn(accept(listener, target, Arc::clone(&state), closing.clone()));
        Ok(Self { address, state, closing })
    }

    /// The address that stands in for the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects a fault for this long, or until the next one.
    pub fn inject(&self, fault: NetworkFault, time: Duration) {
        let mine = {
            let mut newest = self.state.newest.lock();
            *newest += 1;
            *newest
        };
        self.change(Some(fault));
        let (state, closing) = (Arc::clone(&self.state), self.closing.clone());
        tokio::spawn(async move {
            sleep(time).await;
            if *state.newest.lock() == mine {
                change(&state, &closing, None);
            }
        });
    }

    /// Ends the present fault.
    pub fn clear(&self) {
        *self.state.newest.lock() += 1;
        self.change(None);
    }

    fn change(&self, fault: Option<NetworkFault>) {
        change(&self.state, &self.closing, fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// A connection with missing bytes is reset, because TCP never loses the middle of a stream. That
/// happens before the fault ends, so that nothing more passes on it.
fn change(state: &ProxyState, closing: &CancellationToken, fault: Option<NetworkFault>) {
    let before = *state.fault.borrow();
    let lossy = matches!(before, Some(NetworkFault::HalfOpen | NetworkFault::LostReplies));
    if lossy || fault == Some(NetworkFault::Cut) {
        std::mem::replace(&mut *state.connections.lock(), closing.child_token()).cancel();
    }
    state.fault.send_replace(fault);
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    state: Arc<ProxyState>,
    closing: CancellationToken,
) {
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        let Ok((near, _)) = accepted else {
            // Out of file descriptors: open connections will close.
            sleep(REST).await;
            continue;
        };
        if *state.fault.borrow() == Some(NetworkFault::Cut) {
            reset(&near);
            continue;
        }
        let end = state.connections.lock().clone();
        tokio::spawn(connect(near, target, state.fault.subscribe(), end));
    }
}

/// Makes its close a reset, which the peer cannot mistake for an orderly end.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is gone.
    let _ = stream.set_zero_linger();
}

async fn connect(
    near: TcpStream,
    target: SocketAddr,
    fault: watch::Receiver<Option<NetworkFault>>,
    end: CancellationToken,
) {
    let Some(Ok(far)) = end.run_until_cancelled(TcpStream::connect(target)).await else {
        return reset(&near);
    };
    for side in [&near, &far] {
        reset(side);
        // Fails only on a socket that is gone.
        let _ = side.set_nodelay(true);
    }
    let ((asked, answers), (answered, asks)) = (near.into_split(), far.into_split());
    let requests = pump(asked, asks, Direction::Request, fault.clone(), &end);
    let replies = pump(answered, answers, Direction::Reply, fault, &end);
    tokio::select! {
        _ = requests => {}
        _ = replies => {}
        () = end.cancelled() => {}
    }
}

/// Forwards one direction until it ends.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut fault: watch::Receiver<Option<NetworkFault>>,
    end: &CancellationToken,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    // After lost bytes none may follow: the peer would mistake them for the lost ones.
    let mut lossy = false;
    loop {
        let slow =
            direction == Direction::Reply && *fault.borrow() == Some(NetworkFault::SlowReader);
        let room = if slow { DROP } else { CHUNK };
        let read = from.read(&mut chunk[..room]).await;
        let now = *fault.borrow_and_update();
        let swallowed = now == Some(NetworkFault::HalfOpen)
            || now == Some(NetworkFault::LostReplies) && direction == Direction::Reply;
        let size = match read {
            // While nothing passes, the end of the connection does not pass either.
            Ok(0) | Err(_) if swallowed => {
                let _ = fault.changed().await;
                return Ok(());
            }
            Ok(0) => return Ok(()),
            other => other?,
        };
        lossy |= swallowed;
        match now {
            _ if swallowed => continue,
            _ if lossy || end.is_cancelled() => return Ok(()),
            Some(NetworkFault::Delay(milliseconds)) => {
                sleep(Duration::from_millis(milliseconds)).await;
            }
            Some(NetworkFault::SlowReader) if direction == Direction::Reply => sleep(REST).await,
            _ => {}
        }
        to.write_all(&chunk[..size]).await?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const LIMIT: Duration = Duration::from_secs(10);

    /// A server that answers each byte with the next one and counts its requests.
    async fn echo() -> (SocketAddr, watch::Receiver<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, requests) = watch::channel(0);
        tokio::spawn(async move {
            let count = Arc::new(count);
            while let Ok((mut stream, _)) = listener.accept().await {
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        count.send_modify(|asked| *asked += 1);
                        if stream.write_u8(byte + 1).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        (address, requests)
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_u8(1).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_healthy_link_passes_everything_and_a_cut_one_resets_old_and_new_connections() {
        let proxy = Proxy::start(echo().await.0).await.unwrap();
        let mut old = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut old).await.unwrap(), 2);
        proxy.inject(NetworkFault::Cut, LONG);
        assert!(timeout(LIMIT, ask(&mut old)).await.unwrap().is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(LIMIT, ask(&mut new)).await.unwrap().is_err());
        proxy.clear();
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut after).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_lost_reply_belongs_to_a_request_that_arrived_and_its_connection_never_works_again() {
        let (server, mut requests) = echo().await;
        let proxy = Proxy::start(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        proxy.inject(NetworkFault::LostReplies, LONG);
        stream.write_u8(5).await.unwrap();
        timeout(LIMIT, requests.wait_for(|count| *count == 2)).await.unwrap().unwrap();
        proxy.clear();
        assert!(
            timeout(LIMIT, stream.read_u8()).await.unwrap().is_err(),
            "a late or shifted reply"
        );
    }

    #[tokio::test]
    async fn a_half_open_link_takes_requests_that_never_arrive() {
        let (server, requests) = echo().await;
        let proxy = Proxy::start(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.inject(NetworkFault::HalfOpen, LONG);
        assert!(timeout(Duration::from_millis(200), ask(&mut stream)).await.is_err());
        proxy.clear();
        assert!(timeout(LIMIT, stream.read_u8()).await.unwrap().is_err());
        assert_eq!(*requests.borrow(), 0);
    }

    #[tokio::test]
    async fn a_delay_delays_and_ends_by_itself() {
        let proxy = Proxy::start(echo().await.0).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.inject(NetworkFault::Delay(50), Duration::from_millis(200));
        let start = Instant::now();
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        assert!(start.elapsed() >= Duration::from_millis(100), "50 ms each way");
        let mut fault = proxy.state.fault.subscribe();
        timeout(LIMIT, fault.wait_for(Option::is_none)).await.unwrap().unwrap();
    }
}

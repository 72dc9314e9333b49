//! A TCP proxy in front of a server that injects network faults into its connections. In front of
//! several servers it leads each connection to the next one, as a Service of Kubernetes does.

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

/// Bytes of one read: enough for a script, and few enough that a fault takes effect within a
/// reply.
const CHUNK: usize = 16 * 1024;
/// Bytes of one read of a slow reader, and the pause after it: 26 KB a second.
const SLOW_CHUNK: usize = 256;
const PAUSE: Duration = Duration::from_millis(10);
/// The errors of Redis that say that another server, or a later call, may do it.
const REFUSALS: [&[u8]; 5] =
    [b"-READONLY ", b"-NOREPLICAS ", b"-UNBLOCKED ", b"-MASTERDOWN ", b"-LOADING "];
/// What they begin with in other words.
const OTHER_WORDS: &[u8] = b"-ERR backend cannot do that: ";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// A proxy of one or several servers. Closed when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
}

#[derive(Debug)]
struct ProxyState {
    fault: watch::Sender<Option<NetworkFault>>,
    /// Ends the current connections. Replaced each time, so that later ones are not affected.
    connections: Mutex<CancellationToken>,
    /// Number of the newest fault: the end of an older one does not clear it.
    newest: Mutex<u64>,
    closing: CancellationToken,
}

impl Proxy {
    /// Listens on a loopback port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        Self::start_balanced(vec![target]).await
    }

    /// Forwards each connection to the next target that accepts it.
    pub async fn start_balanced(targets: Vec<SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let state = Arc::new(ProxyState {
            fault: watch::Sender::new(None),
            connections: Mutex::new(closing.child_token()),
            newest: Mutex::new(0),
            closing,
        });
        tokio::spawn(accept(listener, targets, Arc::clone(&state)));
        Ok(Self { address, state })
    }

    /// The address to use instead of the server's.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects a fault for this long, or until the next one.
    pub fn inject(&self, fault: NetworkFault, time: Duration) {
        let number = self.state.replace(Some(fault));
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            sleep(time).await;
            if *state.newest.lock() == number {
                state.change(None);
            }
        });
    }

    /// Ends the current fault.
    pub fn clear(&self) {
        self.state.replace(None);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closing.cancel();
    }
}

impl ProxyState {
    /// Changes the fault; returns the number of the new one.
    fn replace(&self, fault: Option<NetworkFault>) -> u64 {
        let mut newest = self.newest.lock();
        *newest += 1;
        self.change(fault);
        *newest
    }

    /// Resets connections with missing bytes, because TCP never loses the middle of a stream. The
    /// reset precedes the end of the fault, so that no more bytes pass.
    fn change(&self, fault: Option<NetworkFault>) {
        let before = *self.fault.borrow();
        let lossy = matches!(before, Some(NetworkFault::HalfOpen | NetworkFault::LostReplies));
        if lossy || fault == Some(NetworkFault::Cut) {
            std::mem::replace(&mut *self.connections.lock(), self.closing.child_token()).cancel();
        }
        self.fault.send_replace(fault);
    }
}

async fn accept(listener: TcpListener, mut targets: Vec<SocketAddr>, state: Arc<ProxyState>) {
    while let Some(accepted) = state.closing.run_until_cancelled(listener.accept()).await {
        let Ok((near, _)) = accepted else {
            // Out of file descriptors: open connections will close.
            sleep(PAUSE).await;
            continue;
        };
        if *state.fault.borrow() == Some(NetworkFault::Cut) {
            reset(&near);
            continue;
        }
        let end = state.connections.lock().clone();
        targets.rotate_left(1);
        tokio::spawn(connect(near, targets.clone(), state.fault.subscribe(), end));
    }
}

/// Lets its close be a reset, which differs from an orderly end.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is gone.
    let _ = stream.set_zero_linger();
}

async fn connect(
    near: TcpStream,
    targets: Vec<SocketAddr>,
    fault: watch::Receiver<Option<NetworkFault>>,
    end: CancellationToken,
) {
    let Some(Ok(far)) = end.run_until_cancelled(TcpStream::connect(&*targets)).await else {
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
    // No bytes may follow lost ones: the peer would take them for those.
    let mut lossy = false;
    loop {
        let slow =
            direction == Direction::Reply && *fault.borrow() == Some(NetworkFault::SlowReader);
        let room = if slow { SLOW_CHUNK } else { CHUNK };
        let read = from.read(&mut chunk[..room]).await;
        let now = *fault.borrow_and_update();
        let swallowed = now == Some(NetworkFault::HalfOpen)
            || now == Some(NetworkFault::LostReplies) && direction == Direction::Reply;
        let size = match read {
            // The end of the connection is swallowed too.
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
            Some(NetworkFault::SlowReader) if direction == Direction::Reply => sleep(PAUSE).await,
            _ => {}
        }
        if now == Some(NetworkFault::OtherWords) && direction == Direction::Reply {
            to.write_all(&reworded(&chunk[..size])).await?;
        } else {
            to.write_all(&chunk[..size]).await?;
        }
    }
}

/// The replies of Redis, with other words for each refusal that begins in this piece, alone or
/// after other replies.
fn reworded(replies: &[u8]) -> Vec<u8> {
    let mut words = Vec::with_capacity(replies.len());
    let mut at = 0;
    while at < replies.len() {
        let begins = at == 0 || replies[..at].ends_with(b"\r\n");
        let refusal = REFUSALS.iter().find(|code| begins && replies[at..].starts_with(code));
        if let Some(code) = refusal {
            words.extend_from_slice(OTHER_WORDS);
            at += code.len();
        } else {
            words.push(replies[at]);
            at += 1;
        }
    }
    words
}

//! The fault injector: a TCP proxy in front of one server, whose connections can be delayed, cut,
//! half open, mute or slow.

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

use crate::plan::Trouble;

/// What passes at once: large enough for a script, small enough that a fault takes effect within a
/// reply.
const PIECE: usize = 16 * 1024;
/// What a slow reader takes at once, and how long it rests after it: 26 KB each second.
const DROP: usize = 256;
const REST: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Reply,
}

/// The way to one server. Closed when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Shared {
    trouble: watch::Sender<Option<Trouble>>,
    /// Ends the connections of now; replaced each time, so that later ones live.
    connections: Mutex<CancellationToken>,
    /// Which fault is the newest: an older one that ends does not end it.
    newest: Mutex<u64>,
}

impl Proxy {
    /// Opens a port of this computer that leads to `target`.
    pub async fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let closing = CancellationToken::new();
        let shared = Arc::new(Shared {
            trouble: watch::Sender::new(None),
            connections: Mutex::new(closing.child_token()),
            newest: Mutex::new(0),
        });
        tokio::spawn(accept(listener, target, Arc::clone(&shared), closing.clone()));
        Ok(Self { address, shared, closing })
    }

    /// Where to connect instead of to the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Trouble for this long, unless other trouble comes first.
    pub fn trouble(&self, trouble: Trouble, time: Duration) {
        let mine = {
            let mut newest = self.shared.newest.lock();
            *newest += 1;
            *newest
        };
        self.change(Some(trouble));
        let (shared, closing) = (Arc::clone(&self.shared), self.closing.clone());
        tokio::spawn(async move {
            sleep(time).await;
            if *shared.newest.lock() == mine {
                change(&shared, &closing, None);
            }
        });
    }

    /// No more trouble.
    pub fn heal(&self) {
        *self.shared.newest.lock() += 1;
        self.change(None);
    }

    fn change(&self, trouble: Option<Trouble>) {
        change(&self.shared, &self.closing, trouble);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Connections that bytes are missing from cannot go on: TCP never loses the middle of a stream, so
/// it is reset instead. They are ended before the trouble is, so that none of them passes anything
/// more.
fn change(shared: &Shared, closing: &CancellationToken, trouble: Option<Trouble>) {
    let before = *shared.trouble.borrow();
    let lossy = matches!(before, Some(Trouble::HalfOpen | Trouble::LostReplies));
    if lossy || trouble == Some(Trouble::Cut) {
        std::mem::replace(&mut *shared.connections.lock(), closing.child_token()).cancel();
    }
    shared.trouble.send_replace(trouble);
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    shared: Arc<Shared>,
    closing: CancellationToken,
) {
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        let Ok((near, _)) = accepted else {
            // Out of file descriptors: those that are open will close.
            sleep(REST).await;
            continue;
        };
        if *shared.trouble.borrow() == Some(Trouble::Cut) {
            reset(&near);
            continue;
        }
        let end = shared.connections.lock().clone();
        tokio::spawn(connect(near, target, shared.trouble.subscribe(), end));
    }
}

/// Makes closing it a reset, which the other side cannot take for an orderly end.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is gone.
    let _ = stream.set_zero_linger();
}

async fn connect(
    near: TcpStream,
    target: SocketAddr,
    trouble: watch::Receiver<Option<Trouble>>,
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
    let requests = pump(asked, asks, Direction::Request, trouble.clone(), &end);
    let replies = pump(answered, answers, Direction::Reply, trouble, &end);
    tokio::select! {
        _ = requests => {}
        _ = replies => {}
        () = end.cancelled() => {}
    }
}

/// Passes one direction on until it ends.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut trouble: watch::Receiver<Option<Trouble>>,
    end: &CancellationToken,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    // Once bytes are missing, none may follow: what comes later would be taken for what is missing.
    let mut lossy = false;
    loop {
        let slow = direction == Direction::Reply && *trouble.borrow() == Some(Trouble::SlowReader);
        let room = if slow { DROP } else { PIECE };
        let read = from.read(&mut piece[..room]).await;
        let now = *trouble.borrow_and_update();
        let swallowed = now == Some(Trouble::HalfOpen)
            || now == Some(Trouble::LostReplies) && direction == Direction::Reply;
        let size = match read {
            // Nobody hears of an end either, as long as nothing passes.
            Ok(0) | Err(_) if swallowed => {
                let _ = trouble.changed().await;
                return Ok(());
            }
            Ok(0) => return Ok(()),
            other => other?,
        };
        lossy |= swallowed;
        match now {
            _ if swallowed => continue,
            _ if lossy || end.is_cancelled() => return Ok(()),
            Some(Trouble::Delay(milliseconds)) => sleep(Duration::from_millis(milliseconds)).await,
            Some(Trouble::SlowReader) if direction == Direction::Reply => sleep(REST).await,
            _ => {}
        }
        to.write_all(&piece[..size]).await?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::time::{Instant, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const LIMIT: Duration = Duration::from_secs(10);

    /// A server that answers each byte with the next one and counts what it was asked.
    async fn echo() -> (SocketAddr, watch::Receiver<u64>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, hears) = watch::channel(0);
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
        (address, hears)
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
        proxy.trouble(Trouble::Cut, LONG);
        assert!(timeout(LIMIT, ask(&mut old)).await.unwrap().is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(timeout(LIMIT, ask(&mut new)).await.unwrap().is_err());
        proxy.heal();
        let mut healed = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut healed).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_lost_reply_belongs_to_a_request_that_arrived_and_its_connection_never_works_again() {
        let (server, mut hears) = echo().await;
        let proxy = Proxy::start(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        proxy.trouble(Trouble::LostReplies, LONG);
        stream.write_u8(5).await.unwrap();
        timeout(LIMIT, hears.wait_for(|count| *count == 2)).await.unwrap().unwrap();
        proxy.heal();
        assert!(
            timeout(LIMIT, stream.read_u8()).await.unwrap().is_err(),
            "a late or shifted reply"
        );
    }

    #[tokio::test]
    async fn a_half_open_link_takes_requests_that_never_arrive() {
        let (server, hears) = echo().await;
        let proxy = Proxy::start(server).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.trouble(Trouble::HalfOpen, LONG);
        assert!(timeout(Duration::from_millis(200), ask(&mut stream)).await.is_err());
        proxy.heal();
        assert!(timeout(LIMIT, stream.read_u8()).await.unwrap().is_err());
        assert_eq!(*hears.borrow(), 0);
    }

    #[tokio::test]
    async fn a_delay_delays_and_ends_by_itself() {
        let proxy = Proxy::start(echo().await.0).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.trouble(Trouble::Delay(50), Duration::from_millis(200));
        let start = Instant::now();
        assert_eq!(ask(&mut stream).await.unwrap(), 2);
        assert!(start.elapsed() >= Duration::from_millis(100), "50 ms each way");
        let mut trouble = proxy.shared.trouble.subscribe();
        timeout(LIMIT, trouble.wait_for(Option::is_none)).await.unwrap().unwrap();
    }
}

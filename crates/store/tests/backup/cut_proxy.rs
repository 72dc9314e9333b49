//! A network that loses its first connection.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, copy};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the first connection.
#[derive(Debug, Clone, Copy)]
pub enum Loss {
    /// It is closed.
    Cut,
    /// Nothing moves any more.
    Stall,
}

/// Forwards connections to a server. The first one is lost after so many bytes in one direction.
pub struct CutProxy {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl CutProxy {
    pub async fn start(server: SocketAddr, bytes: u64, loss: Loss) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let first = counted.fetch_add(1, Ordering::Relaxed) == 0;
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    let (client_sends, mut to_client) = client.split();
                    let (server_sends, mut to_server) = server.split();
                    let limit = if first { bytes } else { u64::MAX };
                    let (mut up, mut down) = (client_sends.take(limit), server_sends.take(limit));
                    tokio::select! {
                        _ = copy(&mut up, &mut to_server) => {}
                        _ = copy(&mut down, &mut to_client) => {}
                    }
                    if let (true, Loss::Stall) = (first, loss) {
                        pending::<()>().await;
                    }
                });
            }
        });
        Self { address, connections }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

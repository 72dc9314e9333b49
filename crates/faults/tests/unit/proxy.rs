//! The proxy's faults, on real connections.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bookingq_faults::plan::NetworkFault;
use bookingq_faults::proxy::Proxy;
use bookingq_harness::wait::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

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
    assert!(timeout(LIMIT, stream.read_u8()).await.unwrap().is_err(), "a late or shifted reply");
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
    eventually("the delay to end", LIMIT, async || {
        let start = Instant::now();
        ask(&mut stream).await.unwrap() == 2 && start.elapsed() < Duration::from_millis(50)
    })
    .await;
}

#[tokio::test]
async fn connections_are_led_to_one_server_after_the_other_and_past_one_that_is_gone() {
    let (one, two) = (echo().await, echo().await);
    let gone = bookingq_harness::port::free_address().unwrap();
    let proxy = Proxy::start_balanced(vec![one.0, gone, two.0]).await.unwrap();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(timeout(LIMIT, ask(&mut stream)).await.unwrap().unwrap(), 2);
    }
    let [first, second] = [&one.1, &two.1].map(|requests| *requests.borrow());
    assert_eq!(first + second, 6);
    assert!(first > 0 && second > 0, "{first} and {second}");
}

/// A server that answers each byte with these replies.
async fn replies(text: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.read_u8().await.is_ok() {
            stream.write_all(text).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn refusals_of_redis_are_said_in_other_words_and_nothing_else_is_changed() {
    let said =
        b":1\r\n-READONLY You can't write.\r\n$11\r\na-READONLY b\r\n-NOREPLICAS No.\r\n-ERR x\r\n";
    let proxy = Proxy::start(replies(said).await).await.unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    let mut answer = async |wanted: &[u8]| {
        stream.write_u8(1).await.unwrap();
        let mut found = vec![0; wanted.len()];
        timeout(LIMIT, stream.read_exact(&mut found)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(wanted));
    };
    answer(said).await;
    proxy.inject(NetworkFault::OtherWords, LONG);
    answer(
        b":1\r\n-ERR backend cannot do that: You can't write.\r\n$11\r\na-READONLY b\r\n\
          -ERR backend cannot do that: No.\r\n-ERR x\r\n",
    )
    .await;
}

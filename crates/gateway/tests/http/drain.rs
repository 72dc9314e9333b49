//! The end of a gateway.

use std::time::Duration;

use bookingq_gateway::GatewayConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Connection, LIMIT, get};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_refuses_new_connections_and_ends_the_kept_ones() {
    let linger = |config: &mut GatewayConfig| config.linger = Duration::from_secs(1);
    let world = World::with("stock=1000,latency=1h", linger).await;
    let address = world.public();
    let mut kept = Connection::open(address).await;
    assert_eq!(kept.send(get("/v1/queues/concert")).await.status, 200);
    let drained = timeout(LIMIT, world.gateway.drain());
    tokio::join!(
        async { drained.await.expect("the drain ends, though a connection was kept") },
        // Within the linger the port is open.
        async { assert!(TcpStream::connect(address).await.is_ok()) }
    );
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert!(kept.try_send(get("/v1/queues/concert")).await.is_err(), "the connection has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_is_gone_at_once() {
    let world = World::waiting().await;
    let address = world.public();
    let mut kept = Connection::open(address).await;
    assert_eq!(kept.send(get("/v1/queues/concert")).await.status, 200);
    world.gateway.kill();
    let gone = async {
        while kept.try_send(get("/v1/queues/concert")).await.is_ok()
            || TcpStream::connect(address).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, gone).await.unwrap();
}

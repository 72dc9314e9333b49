//! The RealtimeService of a gateway: what workers publish reaches the same connections.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use bookingq_gateway::realtime;
use bookingq_proto::v1;
use bookingq_proto::v1::realtime_service_client::RealtimeServiceClient;
use support::fake::{FakeWorker, NOW, message, tick, update, updates};
use support::{Client, Edge};
use tokio::net::TcpListener;
use tonic::transport::Channel;

async fn publisher(edge: &Edge) -> RealtimeServiceClient<Channel> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(realtime::serve(listener, [Arc::clone(&edge.feed)]));
    RealtimeServiceClient::connect(format!("http://{address}")).await.unwrap()
}

async fn publish(
    publisher: &mut RealtimeServiceClient<Channel>,
    messages: Vec<v1::PublishRequest>,
) -> u64 {
    let answer = publisher.publish(tokio_stream::iter(messages)).await;
    answer.unwrap().into_inner().received
}

#[tokio::test]
async fn what_is_published_reaches_the_client_once_although_the_queue_is_followed_too() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 1);
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let mut publisher = publisher(&edge).await;
    let (mut ann, _) = Client::greeted(&edge, "ann").await;
    let reserving = update("ann", 7, NOW + 1, v1::BookingState::Reserving);
    let reserved = update("ann", 7, NOW + 2, v1::BookingState::Reserved);
    let sent = vec![updates("e1", vec![reserving.clone()]), updates("e1", vec![reserved.clone()])];
    assert_eq!(publish(&mut publisher, sent.clone()).await, 2);
    assert_eq!(ann.next("b").await["st"], "reserving");
    assert_eq!(ann.next("b").await["st"], "reserved");
    // Repeats are acknowledged, and so is a queue that this gateway does not serve.
    let other = v1::PublishRequest { queue: "other".to_owned(), ..sent[0].clone() };
    assert_eq!(publish(&mut publisher, [sent, vec![other]].concat()).await, 3);
    worker.send(updates("e1", vec![reserving, reserved]));
    worker.send(updates("e1", vec![update("ann", 7, NOW + 3, v1::BookingState::Confirmed)]));
    assert_eq!(ann.next("b").await["st"], "confirmed", "and no repeat before it");
}

#[tokio::test]
async fn a_publisher_that_is_behind_a_loss_of_data_sets_no_client_back() {
    let worker = FakeWorker::start().await;
    worker.queue("ann", 7, 1);
    worker.lose_data("e2");
    let edge = Edge::new(&[worker.address]).await;
    edge.followed().await;
    let mut publisher = publisher(&edge).await;
    let (mut ann, hello) = Client::greeted(&edge, "ann").await;
    assert_eq!(hello["e"], "e2");
    // Of the data before: it would mean another epoch for all clients.
    let old = updates("e1", vec![update("ann", 7, NOW + 9, v1::BookingState::Reserved)]);
    publish(&mut publisher, vec![old, message("e1", Some(tick(NOW + 9, &[(7, 500)])))]).await;
    worker.send(updates("e2", vec![update("ann", 7, NOW + 1, v1::BookingState::Reserving)]));
    assert_eq!(ann.frame().await["st"], "reserving");
    assert_eq!(&*edge.feed.view.current().epoch, "e2");
}

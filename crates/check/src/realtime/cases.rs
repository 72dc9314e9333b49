//! The checks.

use bookingq_proto::convert::timestamp;
use bookingq_proto::v1::{BookingState, PublishRequest};

use super::fixture::{ITEMS, UPDATES};
use super::{Fixture, PublishCall, RealtimeCase};

/// All checks, in the order in which they run.
pub const CASES: [RealtimeCase; 15] = [
    case("one update", |f| accepted([f.updates(1)])),
    case("one update for each state, with the longest texts", every_state),
    case("a batch of 8 messages with 512 updates each", |f| {
        accepted((0..8).map(|_| f.updates(UPDATES)))
    }),
    case("the longest tick, and updates in the same message", |f| {
        accepted([PublishRequest { tick: Some(f.longest_tick()), ..f.updates(3) }])
    }),
    case("a tick of an empty line", |f| {
        accepted([PublishRequest { tick: Some(f.empty_tick()), ..f.message() }])
    }),
    case("128 items that are closed, open again or sold out", |f| {
        accepted([PublishRequest { items: Fixture::items(ITEMS), ..f.message() }])
    }),
    case("a message without news, and a call without messages", |f| {
        vec![PublishCall::Accepted(vec![f.message()]), PublishCall::Accepted(Vec::new())]
    }),
    case("a batch three times, as after lost answers", |f| {
        vec![PublishCall::Accepted(vec![f.updates(20)]); 3]
    }),
    case("a batch after a newer one, as from a worker that was slow", |f| {
        let older = f.updates(20);
        let newer = f.served(&older);
        vec![PublishCall::Accepted(vec![newer]), PublishCall::Accepted(vec![older])]
    }),
    case("a batch in two calls at once, as when one worker takes over", |f| {
        vec![PublishCall::AtOnce(vec![vec![f.updates(UPDATES)]; 2])]
    }),
    case("a call that breaks off, and the same batch again", |f| {
        let batch = vec![f.updates(UPDATES), f.updates(UPDATES)];
        vec![PublishCall::Broken(batch.clone()), PublishCall::Accepted(batch)]
    }),
    case("a gap: updates before the message are missing", |f| {
        f.skip(1_000);
        accepted([PublishRequest { gap: true, ..f.updates(5) }])
    }),
    case("another epoch, with sequences that begin again", |f| {
        f.lose_data();
        accepted([PublishRequest { gap: true, ..f.updates(5) }, f.updates(5)])
    }),
    case("states that a later version may add", |f| {
        let mut message = f.updates(1);
        message.updates[0].state = 1_000;
        let mut items = Fixture::items(1);
        items[0].availability = 1_000;
        accepted([PublishRequest { items, ..message }])
    }),
    case("an update of a queue that it may not know (any answer will do)", |f| {
        let queue = "no-such-queue".to_owned();
        vec![PublishCall::Answered(vec![PublishRequest { queue, ..f.updates(1) }])]
    }),
];

const fn case(
    publishes: &'static str,
    calls: fn(&mut Fixture) -> Vec<PublishCall>,
) -> RealtimeCase {
    RealtimeCase { publishes, calls }
}

fn accepted(messages: impl IntoIterator<Item = PublishRequest>) -> Vec<PublishCall> {
    vec![PublishCall::Accepted(messages.into_iter().collect())]
}

fn every_state(fixture: &mut Fixture) -> Vec<PublishCall> {
    let states = (0..).map_while(|state| BookingState::try_from(state).ok());
    let states: Vec<_> = states.filter(|state| *state != BookingState::Unspecified).collect();
    let mut message = fixture.updates(states.len() + 1);
    let (parked, updates) = message.updates.split_last_mut().unzip();
    for (update, state) in updates.into_iter().flatten().zip(states) {
        Fixture::longest(update);
        update.state = state.into();
        update.deadline = (state == BookingState::Reserved).then(|| timestamp(Fixture::deadline()));
    }
    if let Some(parked) = parked {
        (parked.parked, parked.state) = (true, BookingState::Queued.into());
    }
    accepted([message])
}

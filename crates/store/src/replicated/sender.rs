//! The task that sends: it packs the calls that wait into envelopes, and sends one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::driver::{Call, Shared, Want};
use super::envelope::{Envelope, MAX_ENVELOPE_BYTES};
use super::log::CommandLog;
use super::reader::PanicWatch;

/// Calls in one envelope.
const MAX_CALLS: usize = 1024;
/// Longest that an append may take before the record counts as not sent.
const APPEND_WITHIN: Duration = Duration::from_secs(5);

/// Sends envelope after envelope until the last caller is dropped or the replica stops.
pub(super) async fn send_envelopes<L: CommandLog>(
    log: Arc<L>,
    shared: Arc<Shared>,
    mut waiting: mpsc::Receiver<Call>,
) {
    let _watch = PanicWatch(Arc::clone(&shared), "sends envelopes");
    let (mut seq, mut next) = (0, None);
    loop {
        let Some(first) = (match next.take() {
            Some(call) => Some(call),
            None => waiting.recv().await,
        }) else {
            return;
        };
        // Lets callers that are ready to run submit first: a larger envelope at no delay.
        tokio::task::yield_now().await;
        let calls = collect(first, &mut waiting, &mut next);
        seq += 1;
        let Some(bytes) = pack(&shared, seq, calls) else { return };
        if send_until_read_back(&*log, &shared, seq, &bytes).await.is_none() {
            return;
        }
    }
}

/// The calls of the next envelope; `next` gets the first one that does not fit.
fn collect(first: Call, waiting: &mut mpsc::Receiver<Call>, next: &mut Option<Call>) -> Vec<Call> {
    let size = |call: &Call| match &call.want {
        Want::Command(bytes) => bytes.len(),
        Want::Barrier | Want::Upgrade(_) | Want::Loss(_) => 0,
    };
    let (mut bytes, mut calls) = (size(&first), vec![first]);
    while calls.len() < MAX_CALLS {
        let Ok(call) = waiting.try_recv() else { break };
        bytes += size(&call);
        if bytes > MAX_ENVELOPE_BYTES {
            *next = Some(call);
            break;
        }
        calls.push(call);
    }
    calls
}

/// Makes an envelope of calls and remembers who waits for it. `None` once the replica has stopped.
fn pack(shared: &Shared, seq: u64, calls: Vec<Call>) -> Option<Vec<u8>> {
    let (mut waiting, mut others) = (Vec::new(), Vec::new());
    let (mut commands, mut upgrade, mut loss) = (Vec::new(), None, None);
    for Call { want, answer } in calls {
        match want {
            Want::Command(bytes) => {
                commands.push(bytes);
                waiting.push(answer);
                continue;
            }
            Want::Barrier => {}
            Want::Upgrade(rules) => upgrade = upgrade.max(Some(rules)),
            Want::Loss(known) => loss = loss.max(Some(known)),
        }
        others.push(answer);
    }
    waiting.append(&mut others);
    let mut state = shared.state.lock();
    if state.stopped.is_some() {
        return None;
    }
    state.expect(seq, waiting);
    let digest = state.replica.claim();
    let envelope = Envelope {
        rules: state.replica.rules(),
        incarnation: shared.incarnation,
        seq,
        limits: shared.limits,
        commands,
        digest,
        upgrade,
        loss,
        kept: None,
    };
    Some(envelope.encode())
}

/// Sends an envelope again and again, unchanged, until it is read back. `None` once the replica
/// has stopped.
async fn send_until_read_back<L: CommandLog>(
    log: &L,
    shared: &Shared,
    seq: u64,
    bytes: &[u8],
) -> Option<()> {
    loop {
        match timeout(APPEND_WITHIN, log.append(bytes)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(seq, %error, "an append was not acknowledged"),
            Err(_) => tracing::debug!(seq, "an append was not answered in time"),
        }
        let resend_at = Instant::now() + shared.resend_after;
        loop {
            {
                let state = shared.state.lock();
                if state.stopped.is_some() {
                    return None;
                }
                if !state.is_in_flight() {
                    return Some(());
                }
            }
            if timeout_at(resend_at, shared.read_back.notified()).await.is_err() {
                break;
            }
        }
    }
}

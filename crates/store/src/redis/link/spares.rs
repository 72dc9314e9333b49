//! Connections beside the shared one, for commands that block: on the shared one they would delay
//! every other call.

use ::redis::aio::MultiplexedConnection;
use parking_lot::Mutex;

/// Connections that wait for their next use. There is one for each kind of call that may block:
/// reading the outbox, and five kinds of writes that wait for replicas.
const SPARES: usize = 6;

/// Connections that are free now, each with the generation of the shared one that it was made
/// beside.
#[derive(Default)]
pub(super) struct Spares(Mutex<Vec<(u64, MultiplexedConnection)>>);

impl Spares {
    /// Takes one that was made beside this generation. Those of an earlier one may lead to a server
    /// that was demoted.
    pub(super) fn take(&self, generation: u64) -> Option<MultiplexedConnection> {
        let mut spares = self.0.lock();
        spares.retain(|(made_beside, _)| *made_beside == generation);
        Some(spares.pop()?.1)
    }

    pub(super) fn give_back(&self, generation: u64, connection: MultiplexedConnection) {
        let mut spares = self.0.lock();
        if spares.len() < SPARES {
            spares.push((generation, connection));
        }
    }
}

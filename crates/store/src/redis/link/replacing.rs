//! Reasons to leave a connection that still answers.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tracing::{info, warn};

use super::super::dial::is_replica;
use super::{Link, LinkState, Live};
use crate::StoreError;

/// How long calls are refused, with nothing written, before another connection is tried.
const REFUSED: Duration = Duration::from_secs(3);

impl Link {
    /// Notes that the server has refused a call, and tries another connection if nothing was
    /// written for a while.
    pub(super) fn refuse(self: &Arc<Self>, generation: u64, cause: &StoreError) {
        if self.doubts.refused.has_lasted(REFUSED) {
            warn!(%cause, "Redis refuses calls; trying another connection beside this one");
            tokio::spawn(try_another(Arc::downgrade(self), generation));
        }
    }

    /// Notes that too few replicas have a write, and looks for another primary if that lasts: this
    /// one may have been replaced where it cannot be seen.
    pub(super) fn miss_replicas(self: &Arc<Self>, generation: u64, cause: &StoreError) {
        if self.locator.has_alternatives() && self.doubts.unreplicated.has_lasted(REFUSED) {
            warn!(%cause, "the primary misses replicas; looking whether there is another one");
            tokio::spawn(try_another(Arc::downgrade(self), generation));
        }
    }

    /// Asks the server, at most once a second and beside the calls, whether it is still the
    /// primary: a demoted one goes on answering reads.
    pub(super) fn doubt_role(self: &Arc<Self>, live: &Live) {
        if self.doubts.is_role_due() {
            tokio::spawn(ask_role(Arc::downgrade(self), live.clone(), self.deadline));
        }
    }
}

async fn ask_role(link: Weak<Link>, live: Live, deadline: Duration) {
    let Live { mut connection, generation, .. } = live;
    // Of an answer that is missing, the calls themselves will know.
    let is_replica = is_replica(&mut connection, deadline).await.unwrap_or_default();
    if let Some(link) = link.upgrade()
        && is_replica
    {
        link.replace(generation, &StoreError::Unavailable("the server is a replica now".into()));
    }
}

/// Connects once, and puts the new connection in the place of the one of `generation`.
async fn try_another(link: Weak<Link>, generation: u64) {
    let Some(link) = link.upgrade() else { return };
    match link.connect(generation + 1).await {
        Ok(new) => {
            link.doubts.clear();
            link.state.send_if_modified(|state| {
                let is_current =
                    matches!(state, LinkState::Up(live) if live.generation == generation);
                if is_current {
                    *state = LinkState::Up(new);
                    info!("changed to another connection to Redis");
                }
                is_current
            });
        }
        Err(error) => info!(%error, "the other connection to Redis is of no use either"),
    }
}

//! Specs that differ although no person has changed them: the API server drops fields when an older
//! CustomResourceDefinition is installed, and its watches may say so before the schema was looked
//! at again.

use std::collections::HashMap;
use std::time::Instant;

use parking_lot::Mutex;
use serde_json::json;

use crate::merge;
use crate::queue::{QueueKey, WatchedQueue};
use crate::schema::LOOKED_WITHIN;

/// The specs that the operator follows.
#[derive(Default)]
pub(crate) struct FollowedSpecs(Mutex<HashMap<QueueKey, FollowedSpec>>);

struct FollowedSpec {
    uid: Option<String>,
    generation: Option<i64>,
    digest: String,
    /// Since when another spec of the same generation is seen.
    doubted: Option<Instant>,
}

impl FollowedSpecs {
    /// Whether to wait before following a queue's spec: it is another one of the same generation.
    /// Ends by itself, because a newer definition may fill in what an earlier one lacked.
    pub(crate) fn is_doubtful(&self, key: &QueueKey, queue: &WatchedQueue) -> bool {
        let Ok(queue) = &queue.0 else { return false };
        let (generation, digest) = (queue.metadata.generation, merge::digest(&json!(queue.spec)));
        let uid = queue.metadata.uid.clone();
        let mut followed = self.0.lock();
        let now = FollowedSpec { uid, generation, digest, doubted: None };
        let Some(known) = followed.get_mut(key) else {
            followed.insert(key.clone(), now);
            return false;
        };
        if known.uid != now.uid || known.generation != now.generation || known.digest == now.digest
        {
            *known = now;
            return false;
        }
        if known.doubted.get_or_insert_with(Instant::now).elapsed() < LOOKED_WITHIN {
            return true;
        }
        *known = now;
        false
    }

    /// Forgets a queue that is gone.
    pub(crate) fn forget(&self, key: &QueueKey) {
        self.0.lock().remove(key);
    }
}

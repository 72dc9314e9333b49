//! Specs that differ although no person has changed them: the API server drops fields when an older
//! CustomResourceDefinition is installed, and its watches may say so before the schema was looked
//! at again.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::queue::{QueueKey, WatchedQueue};

/// Time in which the schema is looked at again for sure.
const DOUBTED_FOR: Duration = Duration::from_secs(8);

/// The specs that the operator follows.
#[derive(Default)]
pub(crate) struct FollowedSpecs(Mutex<HashMap<QueueKey, FollowedSpec>>);

struct FollowedSpec {
    uid: Option<String>,
    generation: Option<i64>,
    digest: u64,
    /// Since when another spec of the same generation is seen.
    doubted: Option<Instant>,
}

impl FollowedSpecs {
    /// Whether to wait before following a queue's spec: it is another one of the same generation.
    /// Ends by itself, because a newer definition may fill in what an earlier one lacked.
    pub(crate) fn is_doubtful(&self, key: &QueueKey, queue: &WatchedQueue) -> bool {
        let Ok(queue) = &queue.0 else { return false };
        let (generation, digest) = (queue.metadata.generation, digest(&queue.spec));
        let uid = queue.metadata.uid.clone();
        let mut followed = self.0.lock();
        let now = FollowedSpec { uid, generation, digest, doubted: None };
        let Some(known) = followed.get_mut(key) else {
            followed.insert(key.clone(), now);
            return false;
        };
        if known.uid != now.uid || known.generation != generation || known.digest == digest {
            *known = now;
            return false;
        }
        if known.doubted.get_or_insert_with(Instant::now).elapsed() < DOUBTED_FOR {
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

fn digest(spec: &impl serde::Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    serde_json::to_string(spec).unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

//! All keys of a gateway, by `kid`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bookingq_core::Timestamp;

use crate::error::{KeyError, SignError};
use crate::generate;
use crate::key::{Key, Material};
use crate::key_file;
use crate::lifetimes::{CLOCK_LEEWAY, JWKS_MAX_AGE};
use crate::purpose::KeyPurpose;

/// Most keys of a ring.
pub const MAX_KEYS: usize = 64;

/// A new key signs only when every verifier has had time to learn of it, twice over: other gateways
/// from the mounted Secret, sellers from the JWKS.
const SIGNS_AFTER: Duration = Duration::from_secs(2 * JWKS_MAX_AGE.as_secs());

/// The keys of a gateway.
///
/// Rotation: add the file of a new key, wait for twice [`JWKS_MAX_AGE`] plus the longest life of a
/// token of its purpose, and remove the file of the old one. While a place key changes, the repeat
/// of a join is another client: client ids of joins are derived with the key that signs.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    keys: BTreeMap<Box<str>, Key>,
}

impl KeyRing {
    /// Reads every `*.json` of a folder, which is a mounted Secret as a rule. Names that begin with
    /// a dot are skipped: the kubelet keeps its own links there.
    ///
    /// # Errors
    /// [`KeyError`], with the name of the file. One unusable file makes all unusable, because a
    /// missing key refuses clients.
    pub fn load(folder: &Path) -> Result<Self, KeyError> {
        let unreadable = |path: &Path, cause| KeyError::Unreadable { path: path.into(), cause };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|cause| unreadable(folder, cause))? {
            let path = entry.map_err(|cause| unreadable(folder, cause))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            if name.starts_with('.') || !is_json {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|cause| unreadable(&path, cause))?;
            files.push((name.to_owned(), text));
        }
        files.sort();
        Self::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Parses the key files of `(name, text)`.
    ///
    /// # Errors
    /// [`KeyError`], with the name of the file.
    pub fn parse<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, KeyError> {
        let mut ring = Self::default();
        let mut names: BTreeMap<Box<str>, String> = BTreeMap::new();
        for (file, text) in files {
            let key = key_file::parse(file, text)?;
            let kid = key.kid().to_owned();
            if let Some(other) = names.insert(kid.as_str().into(), file.to_owned()) {
                return Err(KeyError::Repeated { file: file.to_owned(), kid, other });
            }
            ring.insert(key)?;
        }
        Ok(ring)
    }

    /// A ring with a new place key and a new pass key, gone when the process ends.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn ephemeral() -> Result<Self, KeyError> {
        let mut ring = Self::default();
        for purpose in [KeyPurpose::Place, KeyPurpose::Pass] {
            let text = generate::new_key_file(purpose, None, None)?;
            ring.insert(key_file::parse("ephemeral", &text)?)?;
        }
        Ok(ring)
    }

    /// Adds a key.
    pub(crate) fn insert(&mut self, key: Key) -> Result<(), KeyError> {
        self.keys.insert(key.kid().into(), key);
        if self.keys.len() > MAX_KEYS {
            return Err(KeyError::TooMany { count: self.keys.len(), allowed: MAX_KEYS });
        }
        Ok(())
    }

    pub(crate) fn insert_public(
        &mut self,
        kid: &str,
        purpose: KeyPurpose,
        public: [u8; 32],
    ) -> Result<(), KeyError> {
        self.insert(Key::new(kid, purpose, Timestamp(0), Material::Public(public)))
    }

    /// All keys, by `kid`.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// Whether it has a key that can sign tokens of this purpose, now or later.
    pub fn can_sign(&self, purpose: KeyPurpose) -> bool {
        self.of(purpose).any(Key::can_sign)
    }

    /// The key that verifies tokens with this `kid`.
    pub(crate) fn find(&self, kid: &str, now: Timestamp) -> Option<&Key> {
        self.keys.get(kid).filter(|key| key.not_before() <= now + CLOCK_LEEWAY)
    }

    /// The key that signs: the newest one that every verifier knows by now, else the oldest one
    /// that is valid.
    ///
    /// # Errors
    /// [`SignError::NoKey`].
    pub fn signing(&self, purpose: KeyPurpose, now: Timestamp) -> Result<&Key, SignError> {
        let valid = || {
            let signs = |key: &&Key| key.can_sign() && key.not_before() <= now + CLOCK_LEEWAY;
            self.of(purpose).filter(signs)
        };
        let known = valid().filter(|key| key.not_before() + SIGNS_AFTER <= now);
        known
            .max_by_key(|key| (key.not_before(), key.kid()))
            .or_else(|| valid().min_by_key(|key| (key.not_before(), key.kid())))
            .ok_or(SignError::NoKey(purpose))
    }

    pub(crate) fn of(&self, purpose: KeyPurpose) -> impl Iterator<Item = &Key> {
        self.keys.values().filter(move |key| key.purpose() == purpose)
    }
}

//! `bookingq keys`.

#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use bookingq_identity::{KeyPurpose, KeyRing};

fn keys(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bookingq")).arg("keys").args(args).output().unwrap()
}

fn new(purpose: &str, out: &Path) -> Output {
    keys(&["new", "--purpose", purpose, "--out", out.to_str().unwrap()])
}

#[test]
fn new_keys_are_a_ring_whose_jwks_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    for purpose in KeyPurpose::ALL {
        let file = folder.path().join(format!("{purpose}.json"));
        let made = new(purpose.as_str(), &file);
        assert!(made.status.success() && made.stdout.is_empty(), "{made:?}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let ring = KeyRing::load(folder.path()).unwrap();
    assert_eq!(ring.keys().count(), 4);
    let printed = keys(&["jwks", "--keys", folder.path().to_str().unwrap()]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), format!("{}\n", ring.jwks()));
}

#[test]
fn a_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("place.json");
    assert!(new("place", &file).status.success());
    let before = std::fs::read(&file).unwrap();
    let again = new("place", &file);
    let text = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(text.contains("place.json"), "{text}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_key_without_a_file_is_printed() {
    let made = keys(&["new", "--purpose=pass", "--kid=2026-11"]);
    let text = String::from_utf8(made.stdout).unwrap();
    let ring = KeyRing::parse([("stdout", text.as_str())]).unwrap();
    assert_eq!(ring.keys().next().unwrap().kid(), "2026-11");
}

#[test]
fn the_demo_checkout_needs_a_key_that_signs_for_a_backend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("place.json");
    assert!(new("place", &file).status.success());
    let started = Command::new(env!("CARGO_BIN_EXE_bookingq"))
        .args(["simulate", "--booking-listen=127.0.0.1:0", "--ticket-listen=127.0.0.1:0"])
        .args(["--realtime-listen=127.0.0.1:0", "--checkout-listen=127.0.0.1:0"])
        .args(["--checkout-key", file.to_str().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8(started.stderr).unwrap();
    assert_eq!(started.status.code(), Some(2), "{text}");
    assert!(text.contains("purpose backend"), "{text}");
}

#[test]
fn wrong_usage_says_what_is_allowed() {
    let wrong = [
        (keys(&["new", "--purpose=shopping"]), "place, pass, enqueue, backend"),
        (keys(&["new", "--purpose=place", "--kid=a b"]), "1 to 64 ASCII letters"),
        (keys(&["new"]), "--purpose"),
    ];
    for (output, part) in wrong {
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
    let missing = keys(&["jwks", "--keys=/nonexistent/folder"]);
    let text = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(text.contains("/nonexistent/folder"), "{text}");
}

//! `bookingq backup`, as a person uses it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use bookingq_harness::{Fsync, RedisServer};
use serde_json::Value;

fn backup(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    command.arg("backup").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The last line of standard output.
fn succeeds(arguments: &[&str]) -> String {
    let output = backup(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).lines().last().unwrap_or_default().to_owned()
}

/// Standard error of a command with this exit code.
fn fails(code: i32, arguments: &[&str]) -> String {
    let output = backup(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    text(&output.stderr)
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_is_taken_listed_verified_and_restored() {
    let server = RedisServer::start(Fsync::Off).unwrap();
    server.cli(&["HSET", "booking-meta:{concert}", "schema", "3", "epoch", "e"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (to, report) = (folder.path().join("backups"), folder.path().join("report.json"));
    let url = server.url();
    let create = ["create", "--queue=concert", "--redis", &url, "--to", path(&to), "--keep=1"];
    let line = succeeds(&[&create[..], &["--report", path(&report)]].concat());
    let report: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let rdb = to.join(report["file"].as_str().unwrap());
    assert!(line.contains(path(&rdb)) && line.contains("queue concert"), "{line}");
    assert_eq!(report["bytes"], std::fs::metadata(&rdb).unwrap().len());
    assert!(succeeds(&["list", path(&to)]).ends_with(report["file"].as_str().unwrap()));
    assert!(succeeds(&["verify", path(&rdb)]).contains("is whole"));

    let data = folder.path().join("data");
    let restore = ["restore", path(&rdb), "--data", path(&data)];
    let other = fails(1, &[&restore[..], &["--queue=other"]].concat());
    assert!(other.contains("queue concert, not of other"), "{other}");
    assert!(succeeds(&restore).contains("has the data of"));
    assert!(succeeds(&restore).contains("was restored from this backup before"));
    std::fs::write(&rdb, "REDIS").unwrap();
    let damaged = fails(1, &["verify", path(&rdb)]);
    assert!(damaged.contains("is damaged"), "{damaged}");

    let wrong = fails(2, &["create", "--queue=concert", "--redis", &url, "--to", "x.dump"]);
    assert!(wrong.contains("allowed: a folder, or a name that ends with .rdb"), "{wrong}");
    let none = fails(1, &["create", "--queue=none", "--redis", &url, "--to", path(&to)]);
    assert!(none.contains("no data of queue none"), "{none}");
}

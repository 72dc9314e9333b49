//! `bookingq backup` in a bucket of a real server, as a person uses it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bookingq_harness::s3::{ACCESS_KEY, SECRET_KEY};
use bookingq_harness::wait::eventually;
use bookingq_harness::{Fsync, RedisServer, S3Server};

/// No step takes longer, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// A server with the bucket `sale`; `None`, and a line that says so, without its program.
fn server() -> Option<S3Server> {
    S3Server::start_or_skip(&["sale"], None).unwrap()
}

fn backup(s3: &S3Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    command.arg("backup").args(arguments).env("AWS_ENDPOINT_URL_S3", s3.url());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    for other in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"] {
        command.env_remove(other);
    }
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Standard output.
fn succeeds(s3: &S3Server, arguments: &[&str]) -> String {
    let output = backup(s3, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a command with this exit code.
fn fails(code: i32, command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
    text(&output.stderr)
}

fn redis() -> RedisServer {
    let server = RedisServer::start(Fsync::Off).unwrap();
    server.cli(&["HSET", "booking-meta:{concert}", "schema", "3", "epoch", "e"]).unwrap();
    server
}

#[test]
fn a_backup_in_a_bucket_is_taken_listed_verified_and_restored() {
    let Some(s3) = server() else { return };
    let (redis, folder) = (redis(), tempfile::tempdir().unwrap());
    let url = redis.url();
    let create = ["create", "--queue=concert", "--redis", &url, "--keep=1", "--to"];
    let line = succeeds(&s3, &[&create[..], &["s3://sale/backups/"]].concat());
    let file = line.split(": ").next().unwrap();
    let name = file.strip_prefix("s3://sale/backups/").unwrap();
    assert!(name.starts_with("concert-"), "{line}");
    assert!(succeeds(&s3, &["list", "s3://sale/backups"]).contains(name));
    assert!(succeeds(&s3, &["verify", file]).contains("is whole"));
    let data = folder.path().join("data");
    let data = data.to_str().unwrap();
    assert!(succeeds(&s3, &["restore", file, "--data", data]).contains("has the data of"));
    assert!(succeeds(&s3, &["restore", file, "--data", data]).contains("from this backup before"));
    // Also below no prefix, and with a name of its own.
    succeeds(&s3, &[&create[..], &["s3://sale/own.rdb"]].concat());
    let taken = fails(1, &mut backup(&s3, &[&create[..], &["s3://sale/own.rdb"]].concat()));
    assert!(taken.contains("s3://sale/own.rdb exists already"), "{taken}");
    assert!(succeeds(&s3, &["list", "s3://sale"]).contains("own.rdb"));

    std::fs::write(s3.file("sale", &format!("backups/{name}")), "REDIS").unwrap();
    let damaged = fails(1, &mut backup(&s3, &["verify", file]));
    assert!(damaged.contains(&format!("{file} is damaged")), "{damaged}");
    let list = ["list", "s3://sale/backups"];
    let wrong = fails(1, backup(&s3, &list).env("AWS_SECRET_ACCESS_KEY", "wrong"));
    assert!(wrong.contains("SignatureDoesNotMatch") && !wrong.contains("\"wrong\""), "{wrong}");
    let none = fails(2, backup(&s3, &list).env_remove("AWS_SECRET_ACCESS_KEY"));
    assert!(none.contains("AWS_SECRET_ACCESS_KEY"), "{none}");
    let endpoint = fails(2, backup(&s3, &list).env("AWS_ENDPOINT_URL_S3", "127.0.0.1:9000"));
    assert!(endpoint.contains("http:// or https://"), "{endpoint}");
}

#[tokio::test]
async fn a_killed_backup_is_none_and_the_next_one_is_whole() {
    let Some(s3) = server() else { return };
    let redis = redis();
    redis.cli(&["CONFIG", "SET", "rdbcompression", "no"]).unwrap();
    let fill = "for n=1,40 do redis.call('SET', 'more:'..n, string.rep('x', 1048576)) end";
    redis.cli(&["EVAL", fill, "0"]).unwrap();
    // The second part never comes whole: Redis waits this many microseconds after each key.
    redis.cli(&["CONFIG", "SET", "rdb-key-save-delay", "150000"]).unwrap();
    let url = redis.url();
    let create = ["create", "--queue=concert", "--redis", &url, "--to", "s3://sale/a"];
    let mut killed = backup(&s3, &create).stdout(Stdio::null()).spawn().unwrap();
    let parts = || {
        let uploads = s3.uploads("sale").unwrap();
        uploads.iter().filter(|upload| upload.join("1").is_file()).count()
    };
    eventually("the first part has come", LIMIT, async || parts() == 1).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(succeeds(&s3, &["list", "s3://sale/a"]).lines().count(), 1, "the heading only");

    redis.cli(&["CONFIG", "SET", "rdb-key-save-delay", "0"]).unwrap();
    succeeds(&s3, &create);
    let listed = succeeds(&s3, &["list", "s3://sale/a"]);
    assert_eq!(listed.lines().count(), 2, "{listed}");
}

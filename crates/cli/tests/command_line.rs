//! The command line as a whole, and `bookingq probe`.

#![allow(clippy::unwrap_used)]

use std::process::Output;

use bookingq_cli::Cli;
use clap::{CommandFactory as _, Parser as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples_and_every_flag_has_an_environment_variable() {
    for command in Cli::command().get_subcommands() {
        let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(examples.contains("bookingq"), "{} has no example", command.get_name());
        let flags = command.get_arguments();
        for flag in flags.filter(|flag| flag.get_long().is_some() && flag.get_id() != "help") {
            let name = flag.get_env().and_then(|name| name.to_str()).unwrap_or_default();
            let has_variable = name.starts_with("BOOKINGQ_")
                || name.starts_with("OTEL_")
                || flag.get_id() == "version";
            let long = flag.get_long().unwrap_or_default();
            assert!(has_variable, "{} --{long}", command.get_name());
        }
    }
}

#[test]
fn a_wrong_setting_of_the_simulation_is_wrong_usage() {
    let up = ["bookingq", "up", "--file=concert.yaml", "--simulate=errors=500%"];
    let error = Cli::try_parse_from(up).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let text = error.to_string();
    assert!(text.contains("--simulate") && text.contains("allowed: a share: 0% to 100%"), "{text}");
}

#[tokio::test]
async fn an_address_that_no_redis_can_have_is_wrong_usage_and_its_password_is_not_shown() {
    for (rest, why) in [
        (vec!["--redis=ftp://:secret@127.0.0.1:1"], "redis://"),
        (vec!["--redis=redis://:secret@127.0.0.1:1", "--redis-tls-ca=ca.crt"], "rediss://"),
    ] {
        let mut sweep = Command::new(env!("CARGO_BIN_EXE_bookingq"));
        sweep.args(["sweep", "--queue=concert", "--booking=http://127.0.0.1:1"]).args(rest);
        let refused = sweep.output().await.unwrap();
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        let text = stderr(&refused);
        assert!(text.contains("--redis") && text.contains(why), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

async fn probe(url: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bookingq")).args(["probe", url]).output().await.unwrap()
}

/// Probes a server that answers `status` to one request.
async fn probe_answered(status: &str) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/readyz", listener.local_addr().unwrap());
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 512];
        let read = stream.read(&mut request).await.unwrap();
        assert!(request[..read].starts_with(b"GET /readyz HTTP/1.1\r\n"));
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    };
    tokio::join!(probe(&url), answer).0
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_cause_that_an_error_quotes_is_said_once() {
    let mut operator = Command::new(env!("CARGO_BIN_EXE_bookingq"));
    operator.arg("operator").env("KUBECONFIG", "/does/not/exist");
    operator.env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBERNETES_SERVICE_PORT");
    let output = operator.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("no cluster: "), "{text}");
    assert_eq!(text.matches("/does/not/exist").count(), 1, "{text}");
}

#[tokio::test]
async fn a_probe_succeeds_only_if_the_page_answers_200() {
    assert!(probe_answered("200 OK").await.status.success());
    let refused = probe_answered("503 Service Unavailable").await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("503 Service Unavailable"), "{refused:?}");
}

#[tokio::test]
async fn a_probe_of_a_closed_port_names_the_url() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/readyz");
    let refused = probe(&url).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains(&format!("{url}: cannot connect")), "{refused:?}");
}

#[tokio::test]
async fn only_http_can_be_probed() {
    for url in ["https://a/b", "127.0.0.1:9090"] {
        let refused = probe(url).await;
        assert_eq!(refused.status.code(), Some(2), "{refused:?}");
        assert!(stderr(&refused).contains("http://HOST[:PORT][/PATH]"), "{refused:?}");
    }
}

//! Rules that read files, in a small tree.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use xtask::tidy::source::FORBIDDEN;
use xtask::tidy::{Finding, mentions, metrics, rust, source, width};
use xtask::tree::Tree;

fn tree(files: &[(&str, &str)]) -> (TempDir, Tree) {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }
    let tree = Tree::read(folder.path()).unwrap();
    (folder, tree)
}

fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

fn source(file: &str, text: &str) -> Vec<String> {
    let (_folder, tree) = tree(&[(file, text)]);
    lines(&source::check(&tree).unwrap())
}

#[test]
fn a_clean_file_has_no_finding() {
    assert_eq!(source("a.rs", "//! What it is.\n\nfn a() {}\n"), [""; 0]);
    assert_eq!(source("a.lua", "-- What it is.\nreturn 1\n"), [""; 0]);
}

#[test]
fn each_broken_rule_is_named_with_its_line() {
    let long = format!("//! What it is.\n{}", "\n".repeat(400));
    let what = "a.rs: 401 lines; at most 400: what is the second reason for this file?";
    assert_eq!(source("a.rs", &long), [what]);
    assert!(source("a.rs", "fn a() {}\n")[0].starts_with("a.rs:1: the first line"));
    assert!(source("a.lua", "return 1\n")[0].starts_with("a.lua:1: the first line"));
    assert!(source("a.md", "one\ntwo ")[0].contains("no end"));
    assert!(source("a.md", "one\ntwo \n")[0].starts_with("a.md:2: white space"));
    assert!(source("a.toml", "\ta = 1\n")[0].starts_with("a.toml:1: a tab"));
    for word in FORBIDDEN {
        let text = format!("//! What it is.\n{word}\n");
        assert!(source("a.rs", &text)[0].starts_with("a.rs:2:"), "{word}");
    }
}

#[test]
fn a_long_line_is_named_unless_a_string_makes_it_long() {
    let long = "x".repeat(90);
    let code = format!("//! {long}\n// {long} {long}\nf(\"{long} {long}\");\n");
    let prose = format!("https://{long}{long}\n| {long} {long}\n{long} {long}\n");
    let (_folder, tree) = tree(&[("a.rs", &code), ("b.md", &prose)]);
    let found = width::check(&tree, &rust::sources(&tree).unwrap()).unwrap();
    let expected = ["a.rs:2: 184 characters; at most 100", "b.md:3: 181 characters; at most 100"];
    assert_eq!(lines(&found), expected);
}

/// What a document mentions although it does not exist.
fn lost(document: &str, text: &str) -> Vec<String> {
    let mut files =
        vec![("README.md", ""), ("crates/core/src/backoff.rs", ""), ("docs/keys.md", "")];
    files.retain(|(file, _)| *file != document);
    files.push((document, text));
    let (_folder, tree) = tree(&files);
    let found = lines(&mentions::check(&tree).unwrap());
    found.into_iter().filter(|line| line.starts_with(&format!("{document}:1:"))).collect()
}

#[test]
fn paths_that_exist_and_text_that_is_no_path_are_fine() {
    let text = "`crates/core/`, `crates/core/src/backoff.rs`, `backoff.rs`, `src/backoff.rs`, `crates/core/src/*.rs`, \
        `cargo run`, `/healthz`, `v1.Service/Enqueue`, `target/release`, `r.json`, [keys](docs/keys.md#memory), \
        [page](https://example.org/a.md)";
    assert_eq!(lost("README.md", text), [""; 0]);
    assert_eq!(lost("README.md", "```\n`crates/nowhere`\n```\n"), [""; 0]);
    let text = "[up](../README.md) [here](#here) [self](keys.md)";
    assert_eq!(lost("docs/keys.md", text), [""; 0]);
}

#[test]
fn a_path_that_does_not_exist_is_named() {
    let found = lost("README.md", "see `crates/core/src/retry.rs`, `retry.rs` and `crates/*.lua`");
    let expected = ["`crates/core/src/retry.rs`", "`retry.rs`", "`crates/*.lua`"];
    assert_eq!(found, expected.map(|path| format!("README.md:1: {path} does not exist")));
    let found = lost("docs/keys.md", "[lost](README.md)");
    assert_eq!(found, ["docs/keys.md:1: the link to README.md does not exist"]);
}

fn metrics(document: &str, alerts: &str, dashboard: &str) -> Vec<String> {
    let worker = "let a = Self { a: r.counter(\"a_total\", \"A\")?, b: r\n .histogram(\n \"b_seconds\",\n \"B\")? };";
    let (_folder, tree) = tree(&[
        ("crates/worker/src/metrics.rs", worker),
        ("crates/operator/src/metrics.rs", "r.gauge(\"leader\", \"L\")"),
        ("crates/gateway/src/http_metrics.rs", "r.counter(\"h_total\", \"H\")"),
        ("crates/gateway/src/metrics.rs", "r.gauge(\"open\", \"O\")"),
        ("crates/gateway/src/limits/limit_metrics.rs", "r.counter(\"l_total\", \"L\")"),
        ("docs/operations.md", document),
        ("charts/bookingq/templates/prometheusrule.yaml", alerts),
        ("charts/bookingq/files/dashboard.json", dashboard),
    ]);
    lines(&metrics::check(&tree).unwrap())
}

#[test]
fn metrics_that_exist_and_are_documented_are_fine() {
    let document = "`bookingqueue_*`: `bookingqueue_a_total{x}`, `bookingqueue_operator_leader`,\n\
                    `rate(bookingqueue_b_seconds_bucket[5m])`, `bookingqueue_gateway_h_total`, \
                    `bookingqueue_gateway_open`, `bookingqueue_gateway_l_total`";
    let panel = r#"{"expr": "rate(bookingqueue_a_total[1m])"}"#;
    assert_eq!(metrics(document, "expr: bookingqueue_a_total", panel), [""; 0]);
}

#[test]
fn unknown_and_undocumented_metrics_are_named() {
    let document = "bookingqueue_a_total bookingqueue_operator_leader bookingqueue_gateway_h_total \
                    bookingqueue_gateway_open bookingqueue_gateway_l_total";
    let found = metrics(document, "\nbookingqueue_c\n", "{\n\"expr\": \"bookingqueue_d > 0\"}");
    let expected = [
        "charts/bookingq/templates/prometheusrule.yaml:2: no source makes bookingqueue_c",
        "charts/bookingq/files/dashboard.json:2: no source makes bookingqueue_d",
        "docs/operations.md: bookingqueue_b_seconds is not explained",
    ];
    assert_eq!(found, expected);
}

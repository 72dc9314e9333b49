//! The arguments and the file of a gateway, and what is wrong with them.

#![allow(missing_docs, clippy::unwrap_used)]

use bookingq_api::args::GatewayArgs;
use bookingq_gateway::GatewayConfig;
use bookingq_gateway::config::{KeySource, QueueConfig, WorkersAt};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    gateway: GatewayArgs,
}

fn load(args: &[&str]) -> Result<GatewayConfig, String> {
    let args = std::iter::once("gateway").chain(args.iter().copied());
    let cli = Cli::try_parse_from(args).map_err(|error| error.to_string())?;
    GatewayConfig::load(cli.gateway).map_err(|error| error.to_string())
}

/// With the settings of a file.
fn with_file(yaml: &str, args: &[&str]) -> Result<GatewayConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    std::fs::write(&file, yaml).unwrap();
    let file = file.to_str().unwrap();
    load(&[&["--config", file, "--ephemeral-keys"], args].concat())
}

/// The URL of a queue's workers.
fn workers(queue: &QueueConfig) -> String {
    let WorkersAt::Url(endpoints) = &queue.workers else { panic!("a URL: {queue:?}") };
    endpoints.to_string()
}

const FULL: &str = r##"
queues:
  - name: concert
    workers: http://concert-workers:50051
    title: The concert
    audience: tickets.example
    origins: [https://www.tickets.example]
    returnOrigins: [https://www.tickets.example]
    returnUrl: https://www.tickets.example/pay?x=1
    items: [{ name: standing, title: Standing, maxQuantity: 4 }, { name: seat }]
    brand: { logo: https://www.tickets.example/l.svg, color: "#0a7d4b", text: Hello, home: /start }
  - name: theatre
    workers: https://theatre:443
"##;

#[test]
fn the_file_gives_each_queue_its_settings_and_flags_give_the_rest() {
    let flags = ["--origin", "https://all.example", "--return-origin", "https://pay.example"];
    let config = with_file(FULL, &flags).unwrap();
    assert!(matches!(config.keys, KeySource::Ephemeral));
    let [concert, theatre] = &config.queues[..] else { panic!("two queues") };
    let (first, second) = (&concert.settings, &theatre.settings);
    assert_eq!((first.title.as_str(), second.title.as_str()), ("The concert", "theatre"));
    assert_eq!((first.audience.as_str(), second.audience.as_str()), ("tickets.example", "theatre"));
    assert!(first.origins.contains("https://all.example"));
    assert!(first.origins.contains("https://www.tickets.example"));
    assert!(!second.origins.contains("https://www.tickets.example"));
    assert_eq!(first.return_url.as_ref().unwrap().as_str(), "https://www.tickets.example/pay?x=1");
    assert!(second.return_origins.parse("https://pay.example/a").is_ok());
    assert!(
        first.return_origins.parse("https://pay.example/a").is_err(),
        "the file's replace them"
    );
    assert_eq!(first.items[0].max_quantity, 4);
    assert_eq!((first.items[1].title.as_str(), first.items[1].max_quantity), ("seat", 1));
    assert_eq!(first.brand.color.as_deref(), Some("#0a7d4b"));
    assert_eq!(workers(theatre), "https://theatre:443");
}

#[test]
fn a_flag_gives_the_workers_of_a_queue_of_the_file() {
    let yaml = "queues: [{ name: concert, title: T }]";
    let config = with_file(yaml, &["--queue", "concert=http://here:1", "--queue=b=http://b:2"]);
    let config = config.unwrap();
    assert_eq!(config.queues.len(), 2);
    assert_eq!(workers(&config.queues[0]), "http://here:1");
    assert_eq!(config.queues[0].settings.title, "T");
}

#[test]
fn what_is_wrong_is_named_with_its_value_and_what_is_allowed() {
    let queue = ["--queue", "a=http://a:1"];
    let table: [(&[&str], &[&str]); 8] = [
        (&["--ephemeral-keys"], &["--queue"]),
        (&queue, &["no keys", "--keys FOLDER", "--ephemeral-keys"]),
        (&["--queue", "a", "--ephemeral-keys"], &["NAME=http://HOST:PORT"]),
        (&["--queue", "A=http://a:1", "--ephemeral-keys"], &["lower-case letters"]),
        (&["--queue", "a=a:1", "--ephemeral-keys"], &["--queue is a=a:1", "http://HOST:PORT"]),
        (&["--queue", "a=http://a:1", "--queue", "a=http://b:1", "--ephemeral-keys"], &["twice"]),
        (&["--queue", "a=http://a:1", "--ephemeral-keys", "--origin", "*"], &["--origin", "\"*\""]),
        (
            &["--queue", "a=http://a:1", "--ephemeral-keys", "--workers-tls-cert", "c.pem"],
            &["--workers-tls-cert", "without --workers-tls-key"],
        ),
    ];
    for (args, expected) in table {
        let error = load(args).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }
}

#[test]
fn a_wrong_field_of_the_file_is_named_with_its_place() {
    let queue = |field: &str| format!("queues: [{{ name: a, workers: http://a:1, {field} }}]");
    let table = [
        ("titel: x", vec!["titel", "title"]),
        ("title: ''", vec!["queues[0].title", "1 to 200 bytes"]),
        ("origins: ['*']", vec!["queues[0].origins", "\"*\""]),
        ("returnOrigins: [https://a/b]", vec!["queues[0].returnOrigins"]),
        ("returnUrl: https://b.example/", vec!["queues[0].returnUrl", "return origins"]),
        ("items: [{ name: a, maxQuantity: 101 }]", vec!["items.maxQuantity", "1 to 100"]),
        ("brand: { color: red }", vec!["brand.color", "#rrggbb"]),
        ("brand: { logo: 'javascript:alert(1)' }", vec!["brand.logo", "https://"]),
        ("brand: { logo: '//evil.test/l.svg' }", vec!["brand.logo"]),
        ("brand: { home: 'http://a.example' }", vec!["brand.home"]),
    ];
    for (field, expected) in table {
        let error = with_file(&queue(field), &[]).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{field}: {error}");
        }
    }
    assert!(with_file("queues: []", &[]).unwrap_err().contains("--queue NAME=URL"));
    let error = with_file("queues: [{ name: a }]", &[]).unwrap_err();
    assert!(error.contains("queues[0].workers") && error.contains("http://HOST:PORT"), "{error}");
}

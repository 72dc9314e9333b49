//! Arguments of workers and sweepers survive the command line.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::PathBuf;

use bookingq_api::args::{
    DrainArgs, KafkaArgs, ProcessingArgs, RedisAccessArgs, RedisArgs, ServerArgs, ServiceArgs,
    SweepArgs, WorkerArgs,
};
use bookingq_api::{BookingQueueSpec, DurationString};
use bookingq_core::{QueueName, SaslMechanism};
use clap::{CommandFactory, Parser};
use proptest::option;
use proptest::prelude::*;

#[derive(Parser)]
enum Cli {
    Worker(Box<WorkerArgs>),
    Sweep(Box<SweepArgs>),
}

fn parse(args: Vec<String>) -> Cli {
    Cli::try_parse_from(std::iter::once("bookingq".to_owned()).chain(args)).unwrap()
}

fn time() -> impl Strategy<Value = DurationString> {
    (0u64..1_000_000_000).prop_map(DurationString::from_millis)
}

fn file() -> impl Strategy<Value = PathBuf> {
    "/[a-z]{1,8}/[a-z .]{0,8}x".prop_map(PathBuf::from)
}

fn kafka() -> impl Strategy<Value = KafkaArgs> {
    let tls = (any::<bool>(), option::of(file()), option::of((file(), file())));
    let mechanism = option::of(proptest::sample::select(&SaslMechanism::ALL[..]));
    let login = option::of(("[a-z]{1,8}", mechanism, option::of(file())));
    (tls, login).prop_map(|((tls, ca, pair), login)| {
        let (user, mechanism, password_file) = match login {
            Some((user, mechanism, file)) => (Some(user), mechanism, file),
            None => (None, None, None),
        };
        KafkaArgs {
            tls,
            ca,
            certificate: pair.clone().map(|(certificate, _)| certificate),
            key: pair.map(|(_, key)| key),
            mechanism,
            user,
            password_file,
        }
    })
}

fn redis() -> impl Strategy<Value = RedisArgs> {
    let url = option::of("(rediss?|kafka)://[a-z]{1,8}:[1-9][0-9]{3}".prop_map(String::from));
    let (ca, pair) = (option::of(file()), option::of((file(), file())));
    let files = (option::of(file()), option::of("[a-z]{1,8}"), option::of(file()));
    let files = (files, kafka());
    (url, files, 0u8..=2, ca, pair, time(), time(), 1000u32..).prop_map(
        |(url, files, acknowledge_replicas, ca, pair, deadline, retention, outbox_entries)| {
            let (files, kafka) = files;
            let is_kafka = url.as_ref().is_some_and(|url| url.starts_with("kafka"));
            let (store, url) = if is_kafka { (url, None) } else { (None, url) };
            let access = RedisAccessArgs {
                password_file: files.0,
                sentinel_username: files.1,
                sentinel_password_file: files.2,
                ca,
                certificate: pair.clone().map(|(certificate, _)| certificate),
                key: pair.map(|(_, key)| key),
            };
            RedisArgs {
                url,
                store,
                kafka,
                access,
                acknowledge_replicas,
                deadline,
                retention,
                outbox_entries,
            }
        },
    )
}

fn processing() -> impl Strategy<Value = ProcessingArgs> {
    (1u32..=10_000, time(), time(), 1u32..=100, time(), time()).prop_map(
        |(concurrency, lease, hold, retry_attempts, retry_initial, retry_max)| ProcessingArgs {
            concurrency,
            lease,
            hold,
            retry_attempts,
            retry_initial,
            retry_max,
        },
    )
}

fn call() -> impl Strategy<Value = ServiceArgs> {
    let files = (option::of(file()), option::of(file()), option::of(file()));
    (time(), files, option::of("[a-z]{1,20}")).prop_map(
        |(timeout, (ca, certificate, key), server_name)| ServiceArgs {
            timeout,
            ca,
            certificate,
            key,
            server_name,
        },
    )
}

/// A service that is called, or none with the default flags.
fn service() -> impl Strategy<Value = (Option<String>, ServiceArgs)> {
    let called = ("https?://[a-z]{1,8}:1", call()).prop_map(|(url, call)| (Some(url), call));
    prop_oneof![Just((None, ServiceArgs::default())), called]
}

fn server() -> impl Strategy<Value = ServerArgs> {
    let files = option::of((file(), file(), option::of(file())));
    (files, time(), 1u32..=1_000_000, 1u32..=10_000_000).prop_map(
        |(files, connection_age, requests, watches)| {
            let (certificate, key, client_ca) = match files {
                Some((certificate, key, ca)) => (Some(certificate), Some(key), ca),
                None => (None, None, None),
            };
            ServerArgs { certificate, key, client_ca, connection_age, requests, watches }
        },
    )
}

fn queue() -> impl Strategy<Value = QueueName> {
    "[a-z]{1,8}".prop_map(|name| QueueName::new(&name).unwrap())
}

fn worker() -> impl Strategy<Value = WorkerArgs> {
    let names = (queue(), option::of("[a-z]{1,8}"), any::<u16>(), option::of(any::<u16>()));
    let names = (names, any::<bool>());
    let services = ("http://[a-z]{1,8}:1", call(), service(), service());
    let groups = (redis(), processing(), time(), time(), server());
    (names, services, groups).prop_map(
        |(((queue, id, port, admin), await_rules), (booking, call, ticket, realtime), groups)| {
            WorkerArgs {
                queue,
                id,
                listen: ([0, 0, 0, 0], port).into(),
                admin_listen: admin.map(|port| ([127, 0, 0, 1], port).into()),
                await_rules,
                booking,
                ticket: ticket.0,
                realtime: realtime.0,
                redis: groups.0,
                processing: groups.1,
                drain: DrainArgs { grace: groups.2, linger: groups.3 },
                server: groups.4,
                booking_call: call.into(),
                ticket_call: ticket.1.into(),
                realtime_call: realtime.1.into(),
            }
        },
    )
}

fn sweeper() -> impl Strategy<Value = SweepArgs> {
    let when = prop_oneof![Just((true, None)), option::of(time()).prop_map(|time| (false, time))];
    (queue(), when, service(), option::of("[a-z]{1,8}"), time(), redis(), processing()).prop_map(
        |(queue, (once, time), booking, id, grace, redis, processing)| SweepArgs {
            queue,
            once,
            time,
            booking: booking.0,
            id,
            admin_listen: None,
            grace,
            redis,
            processing,
            booking_call: booking.1.into(),
        },
    )
}

proptest! {
    #[test]
    fn worker_arguments_survive_the_command_line(args in worker()) {
        let Cli::Worker(parsed) = parse(args.to_args()) else { panic!("not a worker") };
        prop_assert_eq!(*parsed, args);
    }

    #[test]
    fn sweeper_arguments_survive_the_command_line(args in sweeper()) {
        let Cli::Sweep(parsed) = parse(args.to_args()) else { panic!("not a sweeper") };
        prop_assert_eq!(*parsed, args);
    }
}

#[test]
fn a_manifest_and_a_command_line_have_the_same_defaults() {
    let spec: BookingQueueSpec =
        serde_json::from_str(r#"{ "booking": { "endpoint": "http://a:1" } }"#).unwrap();
    let planned = WorkerArgs::of(&spec.resolve("q").unwrap(), ([127, 0, 0, 1], 50051).into());
    let minimal = ["worker", "--queue=q", "--booking=http://a:1"].map(String::from);
    let Cli::Worker(parsed) = parse(minimal.into()) else { panic!("not a worker") };
    assert_eq!(*parsed, planned);
}

#[test]
fn every_flag_can_be_set_by_its_environment_variable() {
    let command = Cli::command();
    let args = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let variables: Vec<(&str, &str)> = args
        .filter_map(|arg| Some((arg.get_long()?, arg.get_env().and_then(OsStr::to_str))))
        .map(|(flag, variable)| (flag, variable.unwrap_or_default()))
        .collect();
    assert!(variables.len() > 40, "{variables:?}");
    for (flag, variable) in variables {
        let renamed = [("once", "BOOKINGQ_SWEEP_ONCE"), ("for", "BOOKINGQ_SWEEP_FOR")];
        let by_rule = format!("BOOKINGQ_{}", flag.to_uppercase().replace('-', "_"));
        assert!(variable == by_rule || renamed.contains(&(flag, variable)), "{flag}: {variable}");
    }
}

//! Arguments of gateways survive the command line.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use bookingq_api::DurationString;
use bookingq_api::args::{
    AccessLog, BackendArgs, GatewayArgs, GatewayDrainArgs, IdentityArgs, PublicArgs, QueueAddress,
    ServiceArgs,
};
use clap::Parser;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

#[derive(Parser)]
enum Cli {
    Gateway(Box<GatewayArgs>),
}

fn parse(args: Vec<String>) -> GatewayArgs {
    let Cli::Gateway(parsed) =
        Cli::try_parse_from(std::iter::once("bookingq".to_owned()).chain(args)).unwrap();
    *parsed
}

fn queue() -> impl Strategy<Value = QueueAddress> {
    "[a-z]{1,8}=https?://[a-z]{1,8}:[1-9][0-9]{3}".prop_map(|text| text.parse().unwrap())
}

fn file() -> impl Strategy<Value = PathBuf> {
    "/[a-z]{1,8}/[a-z .]{0,8}x".prop_map(PathBuf::from)
}

fn time() -> impl Strategy<Value = DurationString> {
    (0u64..1_000_000_000).prop_map(DurationString::from_millis)
}

fn origins() -> impl Strategy<Value = Vec<String>> {
    vec("https://[a-z]{1,8}\\.example(:8443)?".prop_map(String::from), 0..3)
}

fn public() -> impl Strategy<Value = PublicArgs> {
    let log = prop_oneof![Just(AccessLog::All), Just(AccessLog::Errors), Just(AccessLog::Off)];
    let proxies = vec("10\\.[0-9]\\.0\\.0/16".prop_map(String::from), 0..3);
    (
        option::of((file(), file())),
        origins(),
        proxies,
        1u32..=10_000_000,
        any::<(bool, bool)>(),
        log,
    )
        .prop_map(|(tls, origins, trusted_proxies, max_connections, switches, access_log)| {
            let (tls_cert, tls_key) = tls.unzip();
            PublicArgs {
                tls_cert,
                tls_key,
                origins,
                trusted_proxies,
                max_connections,
                insecure_cookies: switches.0,
                no_address_limits: switches.1,
                access_log,
            }
        })
}

fn backend() -> impl Strategy<Value = BackendArgs> {
    option::of((file(), file(), option::of(file()))).prop_map(|tls| match tls {
        None => BackendArgs::default(),
        Some((certificate, key, ca)) => BackendArgs {
            backend_tls_cert: Some(certificate),
            backend_tls_key: Some(key),
            backend_tls_client_ca: ca,
        },
    })
}

fn identity() -> impl Strategy<Value = IdentityArgs> {
    let keys = prop_oneof![
        Just((None, false)),
        Just((None, true)),
        file().prop_map(|folder| (Some(folder), false))
    ];
    (keys, "[a-z]{1,8}", option::of("[a-z]{1,8}"), origins(), time()).prop_map(
        |((keys, ephemeral_keys), issuer, audience, return_origins, place_lifetime)| IdentityArgs {
            keys,
            ephemeral_keys,
            issuer,
            audience,
            return_origins,
            place_lifetime,
        },
    )
}

fn workers() -> impl Strategy<Value = ServiceArgs> {
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

proptest! {
    #[test]
    fn gateway_arguments_survive_the_command_line(
        queues in vec(queue(), 1..4),
        config in option::of(file()),
        id in option::of("[a-z]{1,8}"),
        ports in (any::<u16>(), option::of(any::<u16>()), option::of(any::<u16>())),
        groups in (public(), backend(), identity(), workers(), time(), time()),
    ) {
        let port = |port| ([127, 0, 0, 1], port).into();
        let args = GatewayArgs {
            config,
            id,
            listen: port(ports.0),
            backend_listen: ports.1.map(port),
            grpc_listen: ports.2.map(port),
            admin_listen: ports.1.map(port),
            workers_call: groups.3.into(),
            public: groups.0,
            backend: groups.1,
            identity: groups.2,
            drain: GatewayDrainArgs { drain: groups.4, linger: groups.5 },
            ..GatewayArgs::new(queues)
        };
        prop_assert_eq!(parse(args.to_args()), args);
    }
}

#[test]
fn the_defaults_of_the_type_are_those_of_the_command_line() {
    let queue: QueueAddress = "concert=http://concert:50051".parse().unwrap();
    let words = ["gateway", "--queue", "concert=http://concert:50051"].map(String::from);
    assert_eq!(parse(words.into()), GatewayArgs::new(vec![queue]));
}

//! The limits of addresses, without a gateway around them (E17, E18).

#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use bookingq_core::Timestamp;
use bookingq_gateway::limits::AddressLimits;
use bookingq_gateway::limits::address_table::AddressTable;
use bookingq_gateway::limits::challenge::{CHALLENGE_LIFETIME, Challenge, ChallengeError};
use bookingq_gateway::limits::decision::LimitDecision::{self, Allowed, Refused};
use bookingq_gateway::limits::decision::LimitedUse;
use bookingq_gateway::limits::limit_metrics::LimitMetrics;
use bookingq_gateway::limits::proxies::TrustedProxies;
use bookingq_identity::KeyRing;
use bookingq_serve::MetricsRegistry;

const OFFICE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

fn limits(proxies: &[&str]) -> AddressLimits {
    let registry = MetricsRegistry::new("bookingqueue_gateway", &[]).unwrap();
    let metrics = LimitMetrics::new(&registry).unwrap();
    AddressLimits::new(TrustedProxies::new(proxies).unwrap(), metrics)
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn join(limits: &AddressLimits, address: IpAddr, solved: bool, at: f64) -> LimitDecision {
    limits.count_at(LimitedUse::Join, address, solved, seconds(at))
}

/// How many of so many joins at once are allowed.
fn allowed(limits: &AddressLimits, address: IpAddr, count: usize, solved: bool, at: f64) -> usize {
    (0..count).filter(|_| join(limits, address, solved, at) == Allowed).count()
}

#[test]
fn five_hundred_people_behind_one_address_all_join_at_once() {
    let limits = limits(&[]);
    assert_eq!(allowed(&limits, OFFICE, 500, false, 0.0), 300, "and 200 solve a challenge");
    assert_eq!(allowed(&limits, OFFICE, 200, true, 2.0), 200, "no client is refused");
}

#[test]
fn five_hundred_people_within_a_minute_see_no_challenge() {
    let limits = limits(&[]);
    let decisions = (0..500).map(|n| join(&limits, OFFICE, false, f64::from(n) * 60.0 / 500.0));
    assert_eq!(decisions.filter(|decision| *decision == Allowed).count(), 500);
}

#[test]
fn a_flood_without_solutions_takes_nothing_from_others_at_its_address() {
    let limits = limits(&[]);
    for _ in 0..50_000 {
        assert!(!matches!(join(&limits, OFFICE, false, 0.0), Refused { .. }));
    }
    assert_eq!(allowed(&limits, OFFICE, 900, true, 0.0), 900);
}

#[test]
fn at_four_times_the_limit_even_solutions_are_refused_until_it_is_over() {
    let limits = limits(&[]);
    assert_eq!(allowed(&limits, OFFICE, 2000, true, 0.0), 1200);
    let Refused { retry_after } = join(&limits, OFFICE, true, 0.0) else { panic!("allowed") };
    assert!(retry_after <= seconds(0.05), "{retry_after:?}");
    assert!(matches!(join(&limits, OFFICE, false, 0.0), Refused { .. }));
    assert_eq!(allowed(&limits, OFFICE, 500, true, 10.0), 200, "20 a second");
    assert_eq!(allowed(&limits, OFFICE, 2000, true, 500.0), 1200, "forgiven in a minute");
}

#[test]
fn joins_and_connections_are_counted_apart() {
    let limits = limits(&[]);
    assert_eq!(allowed(&limits, OFFICE, 2000, true, 0.0), 1200);
    let stream = limits.count_at(LimitedUse::Stream, OFFICE, true, seconds(0.0));
    assert_eq!(stream, Allowed);
}

#[test]
fn a_subnet_counts_as_one_and_a_site_as_eight() {
    let limits = limits(&[]);
    let address = |subnet: u64, host: u64| {
        let site = 0x2001_0db8_0001_u64 << 16;
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(site | subnet) << 64 | u128::from(host)))
    };
    let subnet = (0..400).filter(|&host| join(&limits, address(0, host), false, 0.0) == Allowed);
    assert_eq!(subnet.count(), 300);
    let site = (1..5000).filter(|&subnet| join(&limits, address(subnet, 0), false, 0.0) == Allowed);
    assert_eq!(site.count(), 8 * 300 - 300);
    let other = IpAddr::V6("2001:db8:2::1".parse().unwrap());
    assert_eq!(join(&limits, other, false, 0.0), Allowed);
}

#[test]
fn an_ipv4_address_is_the_same_written_as_ipv6() {
    let limits = limits(&[]);
    let mapped = IpAddr::V6(Ipv4Addr::new(198, 51, 100, 7).to_ipv6_mapped());
    assert_eq!(allowed(&limits, OFFICE, 200, false, 0.0), 200);
    assert_eq!(allowed(&limits, mapped, 200, false, 0.0), 100);
}

/// E18, with a tenth of the addresses.
#[test]
fn a_million_addresses_need_no_more_memory_and_do_not_free_one_that_is_over_its_limit() {
    let size = AddressTable::default().bytes();
    assert!(size <= 2_000_000, "{size} bytes");
    let limits = limits(&[]);
    assert_eq!(allowed(&limits, OFFICE, 400, false, 0.0), 300);
    let mut passed = 0;
    for n in 0..1_000_000_u128 {
        let address = IpAddr::V6(Ipv6Addr::from_bits((0x2a00 << 112) | (n * 0x9_e377_79b9) << 64));
        let at = n as f64 / 100_000.0;
        passed += usize::from(join(&limits, address, false, at) == Allowed);
    }
    assert_eq!(passed, 1_000_000);
    assert_eq!(allowed(&limits, OFFICE, 100, false, 10.0), 50, "5 a second have come back");
}

#[test]
fn every_window_of_time_keeps_the_rate_and_the_burst() {
    let limits = limits(&[]);
    let mut random = 1_u64;
    let mut times: Vec<f64> = Vec::new();
    let mut now = 0.0;
    for _ in 0..20_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        now += (random >> 40) as f64 / 16_777_216.0 * 0.15;
        if join(&limits, OFFICE, false, now) == Allowed {
            times.push(now);
        }
    }
    for (first, begin) in times.iter().enumerate() {
        for (last, end) in times.iter().enumerate().skip(first).step_by(37) {
            let count = (last - first + 1) as f64;
            assert!(count <= 300.0 + 5.0 * (end - begin) + 1.0, "{count} in {} s", end - begin);
        }
    }
    assert!(times.len() as f64 > 300.0 + 4.9 * now, "{} in {now} s: too strict", times.len());
}

fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for line in forwarded {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).unwrap());
    }
    limits(proxies).address(peer.parse().unwrap(), &headers).to_string()
}

#[test]
fn forwarded_addresses_are_read_from_the_right_through_trusted_proxies_only() {
    let (none, proxy): (&[&str], &[&str]) = (&[], &["10.0.0.0/8", "2001:db8::/32"]);
    let rows: [(&[&str], &str, &[&str], &str); 18] = [
        (none, "203.0.113.9", &[], "203.0.113.9"),
        (none, "203.0.113.9", &["1.1.1.1"], "203.0.113.9"),
        (none, "10.0.0.1", &["1.1.1.1"], "10.0.0.1"),
        (proxy, "203.0.113.9", &["1.1.1.1"], "203.0.113.9"),
        (proxy, "10.0.0.1", &["1.1.1.1"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["1.1.1.1, 10.9.9.9"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["6.6.6.6,1.1.1.1,10.9.9.9 , 10.8.8.8"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["10.7.7.7"], "10.7.7.7"),
        (proxy, "10.0.0.1", &[], "10.0.0.1"),
        (proxy, "10.0.0.1", &["1.1.1.1, unknown"], "10.0.0.1"),
        (proxy, "10.0.0.1", &["1.1.1.1,"], "10.0.0.1"),
        (proxy, "10.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["\"[2a00::1]:4711\""], "2a00::1"),
        (proxy, "2001:db8::1", &["[2a00::1]"], "2a00::1"),
        (proxy, "::ffff:10.0.0.1", &["::ffff:1.1.1.1"], "1.1.1.1"),
        (proxy, "10.0.0.1", &["1.1.1.1, ü"], "10.0.0.1"),
    ];
    for (proxies, peer, forwarded, expected) in rows {
        assert_eq!(client(proxies, peer, forwarded), expected, "{peer} {forwarded:?}");
    }
    let endless = vec!["10.0.0.1"; 1000].join(",");
    assert_eq!(client(proxy, "10.0.0.1", &[&endless]), "10.0.0.1");
}

#[test]
fn what_is_no_network_is_refused_with_its_name() {
    for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "192.0.2.1", "192.0.2.1/32", "2001:db8::/32"] {
        assert!(TrustedProxies::new(&[good]).is_ok(), "{good}");
    }
    let wrong = [
        "",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "2001:db8::/129",
        "proxy.example",
        "10.0.0/8",
        "*",
        "10.0.0.0/-1",
    ];
    for wrong in wrong {
        let error = TrustedProxies::new(&[wrong]).unwrap_err();
        assert_eq!(error.field, "trusted-proxy", "{wrong}");
    }
}

const NOW: Timestamp = Timestamp(1_796_040_000_000);
const KEY: &str = "5a9f0e2c-1111-4222-8333-444455556666";

/// What a page does in its worker.
fn solve(challenge: &Challenge) -> String {
    let zeros = |nonce: &u64| {
        let text = format!("{}:{nonce}", challenge.seed);
        let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        let (first, _) = hash.as_ref().split_first_chunk::<8>().unwrap();
        u64::from_be_bytes(*first).leading_zeros() >= u32::from(challenge.difficulty)
    };
    (0..u64::MAX).find(zeros).unwrap().to_string()
}

#[test]
fn a_solution_is_good_for_its_join_until_it_ends_and_at_every_gateway() {
    let keys = KeyRing::ephemeral().unwrap();
    let challenge = Challenge::issue(&keys, KEY, NOW).unwrap();
    let nonce = solve(&challenge);
    let solution = (challenge.seed.as_str(), nonce.as_str());
    let check = |key, solution, now| Challenge::check(&keys, key, solution, now);
    assert_eq!(check(KEY, solution, NOW), Ok(()));
    assert_eq!(check(KEY, solution, NOW), Ok(()), "a repeat of the join");
    assert_eq!(Challenge::check(&keys.clone(), KEY, solution, NOW), Ok(()), "another gateway");
    let end = NOW + CHALLENGE_LIFETIME;
    assert_eq!(challenge.expires_at, end);
    assert_eq!(check(KEY, solution, Timestamp(end.0 - 1)), Ok(()));
    assert_eq!(check(KEY, solution, end), Err(ChallengeError::Expired));
    let other = KEY.replace('5', "6");
    assert_eq!(check(&other, solution, NOW), Err(ChallengeError::Foreign), "one join only");
    let strangers = KeyRing::ephemeral().unwrap();
    let foreign = Challenge::check(&strangers, KEY, solution, NOW);
    assert_eq!(foreign, Err(ChallengeError::Foreign));
}

#[test]
fn a_seed_cannot_be_made_easier_or_longer() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
    let keys = KeyRing::ephemeral().unwrap();
    let challenge = Challenge::issue(&keys, KEY, NOW).unwrap();
    let bytes = BASE64.decode(&challenge.seed).unwrap();
    let check = |seed: &str, nonce: &str| Challenge::check(&keys, KEY, (seed, nonce), NOW);
    for index in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[index] ^= 1;
        let seed = BASE64.encode(altered);
        assert_eq!(check(&seed, "0"), Err(ChallengeError::Foreign), "byte {index}");
    }
    for seed in ["", "x", &"A".repeat(55), &"A".repeat(1_000_000)] {
        assert_eq!(check(seed, "0"), Err(ChallengeError::Foreign));
    }
    let nonce = solve(&challenge);
    let wrong = ["", "-1", " 1", "1.0", "x", "١", &format!("0x{nonce}"), &"1".repeat(100)];
    for nonce in wrong {
        assert_eq!(check(&challenge.seed, nonce), Err(ChallengeError::Unsolved), "{nonce}");
    }
}

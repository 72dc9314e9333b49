//! Plans of faults.

use std::collections::BTreeSet;
use std::time::Duration;

use bookingq_faults::kinds::FaultKind;
use bookingq_faults::layout::{RedisTopology, StoreLayout};
use bookingq_faults::plan::{Fault, FaultyLink, PlanOptions, REDIS_CLOCK_JUMP, plan};
use clap::ValueEnum as _;

fn options(seed: u64, only: Vec<FaultKind>) -> PlanOptions {
    let (time, every) = (Duration::from_secs(600), Duration::from_millis(250));
    PlanOptions {
        seed,
        time,
        workers: 4,
        gateways: 2,
        every,
        layout: StoreLayout::ONE_REDIS,
        only,
        redis_clocks: false,
    }
}

#[test]
fn a_seed_replays_its_plan_and_another_one_does_not() {
    assert_eq!(plan(&options(7, vec![])), plan(&options(7, vec![])));
    assert_ne!(plan(&options(7, vec![])), plan(&options(8, vec![])));
}

#[test]
fn a_long_plan_has_every_kind_and_every_link_in_order_of_time() {
    let steps = plan(&options(1, vec![]));
    let kinds: BTreeSet<_> = steps.iter().map(|step| step.kind).collect();
    let fits =
        |kind: &&FaultKind| StoreLayout::ONE_REDIS.has(**kind) && **kind != FaultKind::RedisClock;
    assert_eq!(kinds, FaultKind::value_variants().iter().filter(fits).copied().collect());
    let links: BTreeSet<_> = steps
        .iter()
        .filter_map(|step| match step.fault {
            Fault::Network(link, _) => Some(link),
            _ => None,
        })
        .collect();
    assert_eq!(links.len(), 3 * 4 + 2 + 3 * 2);
    assert!(steps.is_sorted_by_key(|step| step.at_ms));
    for step in &steps {
        let is_clock = matches!(step.fault, Fault::Clock(..));
        assert_eq!(is_clock, step.kind == FaultKind::Clock, "{step:?}");
    }
}

#[test]
fn only_the_kinds_that_are_asked_for_are_drawn() {
    let steps = plan(&options(1, vec![FaultKind::Cut]));
    assert!(!steps.is_empty() && steps.iter().all(|step| step.kind == FaultKind::Cut));
}

#[test]
fn without_gateways_nothing_of_them_is_broken() {
    let steps = plan(&PlanOptions { gateways: 0, ..options(1, vec![]) });
    for step in steps {
        assert!(!step.kind.is_of_gateways(), "{step:?}");
        let text = format!("{:?}", step.fault);
        assert!(!text.contains("Gateway"), "{text}");
    }
}

#[test]
fn the_schedule_of_one_server_is_the_same_as_ever() {
    let options = PlanOptions { workers: 3, time: Duration::from_secs(40), ..options(1, vec![]) };
    let steps = plan(&options);
    let lines: Vec<_> = steps.iter().map(|step| serde_json::to_string(step).unwrap()).collect();
    let hash =
        lines.iter().flat_map(|line| line.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    assert_eq!((steps.len(), hash), (168, 375_939_924_559_187_841));
}

#[test]
fn several_servers_have_every_kind_that_fits_and_no_proxy_in_front() {
    let redis = [RedisTopology::Sentinel, RedisTopology::Cluster, RedisTopology::Managed];
    let kafka = [1, 3].map(StoreLayout::Kafka);
    for layout in redis.map(StoreLayout::Redis).into_iter().chain(kafka) {
        let steps = plan(&PlanOptions { layout, ..options(1, vec![]) });
        let kinds: BTreeSet<_> = steps.iter().map(|step| step.kind).collect();
        let fits = |kind: &&FaultKind| layout.has(**kind) && **kind != FaultKind::RedisClock;
        assert_eq!(kinds, FaultKind::value_variants().iter().filter(fits).copied().collect());
        for step in &steps {
            let of_proxy = matches!(
                step.fault,
                Fault::Network(FaultyLink::WorkerRedis(_) | FaultyLink::SweeperRedis, _)
            );
            assert!(!of_proxy, "{step:?}");
        }
    }
}

#[test]
fn clocks_of_redis_jump_besides_the_other_faults_or_alone() {
    let without = plan(&options(1, vec![]));
    let with = plan(&PlanOptions { redis_clocks: true, ..options(1, vec![]) });
    assert!(with.is_sorted_by_key(|step| step.at_ms));
    let (jumps, others): (Vec<_>, Vec<_>) =
        with.into_iter().partition(|step| step.kind == FaultKind::RedisClock);
    let ends_by_its_clock = [FaultKind::PauseRedis, FaultKind::BusyRedis];
    let expected = without.into_iter().filter(|step| !ends_by_its_clock.contains(&step.kind));
    assert_eq!(others, expected.collect::<Vec<_>>());
    let offsets: BTreeSet<_> = jumps
        .iter()
        .map(|step| match step.fault {
            Fault::RedisClock(_, seconds) => seconds,
            ref other => panic!("{other:?}"),
        })
        .collect();
    let far = |offset: &i64| offset.unsigned_abs() <= REDIS_CLOCK_JUMP.as_secs();
    assert!(jumps.len() > 50 && offsets.iter().all(far), "{offsets:?}");
    assert!(offsets.first() < Some(&-20) && offsets.last() > Some(&20), "{offsets:?}");
    let only = options(1, vec![FaultKind::RedisClock]);
    let alone = plan(&PlanOptions { redis_clocks: true, ..only });
    assert_eq!(alone, jumps);
}

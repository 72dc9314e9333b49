//! Who changes a template, and when an update of the operator may begin.

use std::time::Duration;

use bookingq_api::update::{UpdatePlan, UpdatePolicy, UpdateWindow, time_zone};
use bookingq_operator::update::change::{LiveTemplate, TemplateChange, template_change};
use bookingq_operator::update::decision::{
    LineLoad, QueueLoad, UpdateDecision, UpdateQuestion, WaitsFor, decide,
};
use bookingq_operator::update::stamp::TemplateStamp;
use jiff::Timestamp;
use proptest::prelude::*;

fn stamp(release: &str, digest: &str) -> TemplateStamp {
    TemplateStamp {
        release: release.to_owned(),
        image: "bookingq:1".to_owned(),
        digest: digest.to_owned(),
    }
}

fn running(runs: TemplateStamp, ready: Option<TemplateStamp>) -> LiveTemplate {
    LiveTemplate { runs: Some(runs), ready, ..LiveTemplate::default() }
}

#[test]
fn the_same_operator_makes_another_template_only_of_another_input() {
    let live = running(stamp("1", "a"), None);
    assert_eq!(template_change(&live, &stamp("1", "a"), None), TemplateChange::Nothing);
    assert_eq!(template_change(&live, &stamp("1", "b"), None), TemplateChange::Input);
    assert_eq!(template_change(&live, &stamp("2", "b"), None), TemplateChange::Operator);
    assert_eq!(template_change(&live, &stamp("2", "a"), None), TemplateChange::Nothing);
}

#[test]
fn an_update_that_waits_goes_with_a_change_of_the_input() {
    let live = running(stamp("1", "a"), Some(stamp("2", "b")));
    assert_eq!(template_change(&live, &stamp("2", "b"), None), TemplateChange::Operator);
    assert_eq!(template_change(&live, &stamp("2", "c"), None), TemplateChange::Input);
    // The operator of before is back, or a third one comes.
    assert_eq!(template_change(&live, &stamp("1", "a"), None), TemplateChange::Nothing);
    assert_eq!(template_change(&live, &stamp("3", "c"), None), TemplateChange::Operator);
}

#[test]
fn a_template_without_a_stamp_is_that_of_an_older_operator() {
    let older = LiveTemplate::default();
    assert_eq!(template_change(&older, &stamp("2", "b"), None), TemplateChange::Operator);
    let as_built = LiveTemplate { is_as_built: true, ..older.clone() };
    assert_eq!(template_change(&as_built, &stamp("2", "b"), None), TemplateChange::Nothing);
    let waiting = LiveTemplate { ready: Some(stamp("2", "b")), ..older };
    assert_eq!(template_change(&waiting, &stamp("2", "b"), None), TemplateChange::Operator);
    assert_eq!(template_change(&waiting, &stamp("2", "c"), None), TemplateChange::Input);
}

#[test]
fn a_secret_that_was_rotated_while_the_operator_was_replaced_reaches_the_pods() {
    let live = LiveTemplate { secrets: Some("a@1".to_owned()), ..running(stamp("1", "a"), None) };
    let change = |secrets| template_change(&live, &stamp("2", "b"), Some(secrets));
    assert_eq!(change("a@1"), TemplateChange::Operator);
    assert_eq!(change("a@2"), TemplateChange::Input);
    // Also to those of a release that wrote no stamps.
    let older = LiveTemplate { runs: None, ..live.clone() };
    let change = |secrets| template_change(&older, &stamp("2", "b"), Some(secrets));
    assert_eq!(change("a@1"), TemplateChange::Operator);
    assert_eq!(change("a@2"), TemplateChange::Input);
}

#[test]
fn a_stamp_is_read_back_and_other_texts_are_none() {
    let written = stamp("0.1.0-1a2b", "c3");
    assert_eq!(TemplateStamp::parse(&written.to_string()), Some(written));
    for text in ["", "1 2", "1 2 ", "1 2 3 4"] {
        assert_eq!(TemplateStamp::parse(text), None, "{text:?}");
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn nightly() -> UpdateWindow {
    let zone = time_zone("Europe/Berlin").unwrap();
    UpdateWindow::new("0 3 * * *", zone, Duration::from_secs(2 * 3600)).unwrap()
}

#[test]
fn a_window_opens_at_the_time_of_its_zone_in_summer_and_in_winter() {
    let window = nightly();
    for (time, open) in [
        ("2026-11-30T01:59:59Z", false),
        ("2026-11-30T02:00:00Z", true),
        ("2026-11-30T03:59:59Z", true),
        ("2026-11-30T04:00:00Z", false),
        ("2026-07-01T00:59:59Z", false),
        ("2026-07-01T01:00:00Z", true),
    ] {
        assert_eq!(window.is_open(at(time)), open, "{time}");
    }
    assert_eq!(window.begins_after(at("2026-11-30T02:00:00Z")), Some(at("2026-12-01T02:00:00Z")));
    assert_eq!(time_zone("Mars/Olympus"), None);
    for cron in ["0 3 * *", "0 3 * * * *", "61 3 * * *", "@daily", "0 3 * * nope"] {
        let window = UpdateWindow::new(cron, time_zone("UTC").unwrap(), Duration::from_secs(60));
        assert_eq!(window, None, "{cron}");
    }
}

fn of_berlin(cron: &str, duration: Duration) -> UpdateWindow {
    UpdateWindow::new(cron, time_zone("Europe/Berlin").unwrap(), duration).unwrap()
}

/// The beginnings of the window from one moment to another.
fn beginnings(window: &UpdateWindow, from: &str, to: &str) -> Vec<Timestamp> {
    let mut now = at(from);
    let next = || {
        now = window.begins_after(now)?;
        Some(now)
    };
    std::iter::from_fn(next).take_while(|begin| *begin < at(to)).collect()
}

/// The times at which the window is open, to the minute, as pairs of beginning and end.
fn open_times(window: &UpdateWindow, from: &str, to: &str) -> Vec<(Timestamp, Timestamp)> {
    let minutes = (0..).map(|minute| at(from) + Duration::from_secs(minute * 60));
    let mut found: Vec<(Timestamp, Timestamp)> = Vec::new();
    for now in minutes.take_while(|now| *now < at(to)).filter(|now| window.is_open(*now)) {
        let end = now + Duration::from_secs(60);
        match found.last_mut().filter(|last| last.1 == now) {
            Some(last) => last.1 = end,
            None => found.push((now, end)),
        }
    }
    found
}

#[test]
fn a_window_in_the_hour_that_comes_twice_opens_once() {
    // On 2026-10-25 the clocks of Berlin go from 03:00 back to 02:00, at 01:00Z.
    let (from, to) = ("2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z");
    let window = of_berlin("30 2 * * *", Duration::from_secs(20 * 60));
    let begins = ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"].map(at);
    assert_eq!(beginnings(&window, from, to), begins);
    let ends = begins.map(|begin| begin + Duration::from_secs(20 * 60));
    assert_eq!(open_times(&window, from, to), begins.into_iter().zip(ends).collect::<Vec<_>>());
    for second_time in ["2026-10-25T01:00:00Z", "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"] {
        assert_eq!(window.begins_after(at(second_time)), Some(begins[1]), "{second_time}");
    }
    // It is open for as long as ever, across the change too.
    let window = of_berlin("30 1 * * *", Duration::from_secs(2 * 3600));
    let open = open_times(&window, from, to);
    assert_eq!(open[0], (at("2026-10-24T23:30:00Z"), at("2026-10-25T01:30:00Z")));
    assert_eq!(open.len(), 2);
}

#[test]
fn a_window_in_the_hour_that_does_not_come_opens_when_the_clock_changes() {
    // On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, at 01:00Z.
    let (from, to) = ("2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
    let changes = at("2026-03-29T01:00:00Z");
    for cron in ["0 2 * * *", "30 2 * * *", "59 2 * * *", "0 3 * * *"] {
        let window = of_berlin(cron, Duration::from_secs(1800));
        let begins = beginnings(&window, from, to);
        assert_eq!((begins[0], begins.len()), (changes, 2), "{cron}");
        assert_eq!(window.begins_after(at("2026-03-29T01:10:00Z")), Some(begins[1]), "{cron}");
        let open = open_times(&window, from, to);
        assert_eq!((open[0], open.len()), ((changes, at("2026-03-29T01:30:00Z")), 2), "{cron}");
    }
    // A beginning each quarter of an hour: those that are skipped are one.
    let window = of_berlin("*/15 * * * *", Duration::from_secs(60));
    let begins = beginnings(&window, "2026-03-29T00:44:00Z", "2026-03-29T01:29:00Z");
    assert_eq!(
        begins,
        ["00:45", "01:00", "01:15"].map(|time| at(&format!("2026-03-29T{time}:00Z")))
    );
}

fn answer(plan: &UpdatePlan, approved: Option<&str>, load: QueueLoad) -> UpdateDecision {
    let now = at("2026-11-30T12:00:00Z");
    decide(&UpdateQuestion { id: "x1", plan, approved, load, now })
}

#[test]
fn the_answer_says_what_is_waited_for_and_what_there_is_meanwhile() {
    let busy = QueueLoad {
        line: Some(LineLoad { waiting: 6, in_flight: 1, holds: 2 }),
        ..QueueLoad::default()
    };
    let wait = |plan: &UpdatePlan, load| match answer(plan, Some("another"), load) {
        UpdateDecision::Wait(wait) => wait,
        UpdateDecision::Begin => panic!("it begins"),
    };
    let when_idle = UpdatePlan::default();
    let found = wait(&when_idle, busy);
    assert_eq!(found.waits_for, WaitsFor::Idle);
    assert_eq!(found.meanwhile, "6 in line, 2 reserved and unpaid, 1 in progress");
    assert_eq!(wait(&when_idle, QueueLoad::default()).meanwhile, "the line cannot be read");
    let at_night = UpdatePlan { windows: vec![nightly()], ..when_idle };
    let found = wait(&at_night, busy);
    assert_eq!(found.waits_for, WaitsFor::Window);
    assert_eq!(found.window, Some(at("2026-12-01T02:00:00Z")));
    let manual = UpdatePlan { policy: UpdatePolicy::Manual, ..at_night };
    assert_eq!(wait(&manual, busy).waits_for, WaitsFor::Annotation);
    assert_eq!(wait(&manual, busy).window, None);
}

fn policies() -> impl Strategy<Value = UpdatePolicy> {
    use UpdatePolicy::{Immediate, Manual, WhenIdle};
    prop_oneof![Just(WhenIdle), Just(Immediate), Just(Manual)]
}

fn loads() -> impl Strategy<Value = QueueLoad> {
    let line = (0..3_i64, 0..3_i64, 0..3_i64).prop_map(|(waiting, in_flight, holds)| LineLoad {
        waiting,
        in_flight,
        holds,
    });
    (proptest::option::of(line), any::<bool>(), any::<bool>())
        .prop_map(|(line, has_no_pods, is_down)| QueueLoad { line, has_no_pods, is_down })
}

proptest! {
    #[test]
    fn an_update_interrupts_no_client_unless_someone_allows_it(
        policy in policies(),
        windowed: bool,
        approved: bool,
        load in loads(),
        hour in 0..48_i64,
    ) {
        let windows = if windowed { vec![nightly()] } else { Vec::new() };
        let plan = UpdatePlan { policy, windows };
        let now = at("2026-11-30T00:30:00Z") + Duration::from_secs(hour as u64 * 3600);
        let approved = if approved { Some("x1") } else { Some("x0") };
        let decision = decide(&UpdateQuestion { id: "x1", plan: &plan, approved, load, now });
        let idle = load.has_no_pods || load.is_down || load.line == Some(LineLoad::default());
        let open = windowed && nightly().is_open(now);
        let allowed = approved == Some("x1") || match policy {
            UpdatePolicy::Immediate => true,
            UpdatePolicy::WhenIdle => idle || open,
            UpdatePolicy::Manual => false,
        };
        prop_assert_eq!(decision == UpdateDecision::Begin, allowed);
    }

    /// Whatever happened before: what an operator made, it finds unchanged, and what it lets wait,
    /// it finds waiting.
    #[test]
    fn an_operator_recognizes_its_own_templates(
        runs in proptest::option::of(("[12]", "[ab]")),
        ready in proptest::option::of(("[12]", "[ab]")),
        (release, digest) in ("[12]", "[ab]"),
    ) {
        let of = |pair: Option<(String, String)>| pair.map(|(by, digest)| stamp(&by, &digest));
        let (made, runs) = (stamp(&release, &digest), of(runs));
        let live = LiveTemplate { runs: runs.clone(), ready: of(ready), ..LiveTemplate::default() };
        let change = template_change(&live, &made, None);
        prop_assert_eq!(
            change == TemplateChange::Nothing,
            runs.as_ref().is_some_and(|runs| runs.digest == made.digest)
        );
        let applied = running(made.clone(), None);
        prop_assert_eq!(template_change(&applied, &made, None), TemplateChange::Nothing);
        if change == TemplateChange::Operator {
            let held = LiveTemplate { runs, ready: Some(made.clone()), ..LiveTemplate::default() };
            prop_assert_eq!(template_change(&held, &made, None), TemplateChange::Operator);
        }
    }
}

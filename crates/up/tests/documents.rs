//! What `bookingq up` reads and shows: manifests, charts, and the report of a run.

#![allow(clippy::unwrap_used)]

mod manifest {
    use std::path::Path;

    use bookingq_up::manifest::{parse, read};

    const QUEUE: &str =
        "apiVersion: bookingqueue.dev/v1alpha1\nkind: BookingQueue\nmetadata:\n  name: concert\n";

    fn refused(text: &str) -> String {
        parse(Path::new("sale.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn the_queues_of_a_file_are_found_among_other_documents() {
        let text = format!(
            "# a comment\n---\nkind: ConfigMap\napiVersion: v1\n---\n{QUEUE}spec:\n  booking: {{ endpoint: \"http://a:1\" }}\n---\n"
        );
        let plans = parse(Path::new("sale.yaml"), &text).unwrap();
        assert_eq!(plans.len(), 1);
        assert_eq!(plans[0].queue.as_str(), "concert");
    }

    #[test]
    fn a_run_waits_for_no_replicas_which_its_own_store_has_not() {
        let text = format!(
            "{QUEUE}spec:\n  booking: {{ endpoint: \"http://a:1\" }}\n  redis: {{ managed: {{ replicas: 3 }} }}\n"
        );
        let plans = parse(Path::new("sale.yaml"), &text).unwrap();
        assert_eq!(plans[0].store.redis().unwrap().acknowledge_replicas, 0);
    }

    #[test]
    fn an_error_names_file_document_and_line() {
        let error = refused(&format!(
            "kind: ConfigMap\n---\n{QUEUE}spec:\n  booking: {{ endpoint: \"http://a:1\" }}\n  hold: {{ timeout: soon }}\n"
        ));
        assert!(error.starts_with("sale.yaml (document 2): line 9"), "{error}");
        assert!(error.contains("\"soon\" is not a duration; allowed:"), "{error}");
    }

    #[test]
    fn an_unknown_or_invalid_field_is_named_with_its_path() {
        let error = refused(&format!(
            "{QUEUE}spec:\n  booking: {{ endpoint: \"http://a:1\", timeot: 3s }}\n"
        ));
        assert!(
            error.contains("spec.booking.timeot is not a field; allowed: endpoint, timeout, tls"),
            "{error}"
        );
        let error = refused(&format!("{QUEUE}spec:\n  booking: {{ endpoint: \"a:1\" }}\n"));
        assert!(error.contains("spec.booking.endpoint is \"a:1\"; allowed:"), "{error}");
    }

    #[test]
    fn a_file_without_a_queue_or_with_one_twice_is_refused() {
        assert!(refused("kind: ConfigMap\n").contains("has no BookingQueue"));
        let queue = format!("{QUEUE}spec:\n  booking: {{ endpoint: \"http://a:1\" }}\n");
        assert!(
            refused(&format!("{queue}---\n{queue}")).contains("two BookingQueues named concert")
        );
        assert!(refused("a: [").contains("sale.yaml (document 1)"));
    }

    #[test]
    fn the_samples_are_valid() {
        let samples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../manifests/samples"));
        for name in ["concert", "festival", "capped", "gateway", "three", "kafka", "kafka-tls"] {
            let plans = read(&samples.join(name).with_extension("yaml")).unwrap();
            assert!([name, "concert"].contains(&plans[0].queue.as_str()), "{name}");
        }
    }
}

mod report {
    use std::time::Duration;

    use bookingq_check::{Answers, AuditLog, Evidence, Moment};
    use bookingq_up::StoreChoice;
    use bookingq_up::report::{Replicas, RunReport, RunSummary};

    fn summary() -> RunSummary {
        RunSummary {
            queue: "concert".into(),
            store: Some("embedded"),
            time: Duration::from_millis(1234),
            replicas: vec![Replicas { second: 0.0, wanted: 2, ready: 0 }],
            items: Vec::new(),
            crowd: None,
        }
    }

    fn report() -> RunReport {
        let answers = Answers::new(0, 0);
        let found = AuditLog::default().verify(&answers, &Evidence::default(), Moment::AtRest);
        RunReport::new(summary(), &answers, Some(found))
    }

    #[test]
    fn without_an_audit_the_report_has_no_keys_that_come_from_one() {
        let report = RunReport::new(summary(), &Answers::new(0, 0), None);
        let value = serde_json::to_value(&report).unwrap();
        for key in ["moment", "enqueued", "final", "ledger", "violations", "audit_gaps"] {
            assert!(value.get(key).is_none(), "{key}: {value}");
        }
        assert_eq!(value["sound"], true);
        assert!(report.summary().join("\n").contains("as far as they could see"));
    }

    #[test]
    fn the_report_has_the_keys_that_are_promised() {
        let value = serde_json::to_value(report()).unwrap();
        let promised = [
            "/enqueued",
            "/waiting",
            "/in_progress",
            "/final/confirmed",
            "/final/expired",
            "/final/cancelled",
            "/final/sold_out",
            "/final/rejected",
            "/final/failed",
            "/violations/lost",
            "/violations/duplicated",
            "/violations/dispatch_inversions",
            "/violations/double_reservations",
            "/violations/orphans",
            "/violations/oversold",
            "/latency_ms/enqueue/p50",
            "/latency_ms/queued/p99",
            "/latency_ms/reserve/max",
            "/latency_ms/release_lag/max",
            "/replicas/0/wanted",
        ];
        for pointer in promised {
            assert!(
                value.pointer(pointer).is_some_and(serde_json::Value::is_number),
                "{pointer}: {value}"
            );
        }
        assert_eq!((&value["moment"], &value["sound"]), (&"at_rest".into(), &true.into()));
        assert_eq!(value["seconds"], 1.2);
    }

    #[test]
    fn a_sound_run_lists_what_was_checked() {
        let text = report().summary().join("\n");
        assert!(text.contains("every promise was kept"), "{text}");
        assert!(
            text.contains("stale settles, double reservations, orphans, broken deadlines"),
            "{text}"
        );
    }

    #[test]
    fn a_store_is_a_word_or_a_url_and_a_mistake_never_repeats_a_password() {
        assert_eq!("embedded".parse(), Ok(StoreChoice::Embedded));
        assert_eq!("redis".parse(), Ok(StoreChoice::OwnRedis));
        assert_eq!("redis://a:1".parse(), Ok(StoreChoice::Redis("redis://a:1".to_owned())));
        let kafka = "kafka://a:9092,b:9092/sales".parse::<StoreChoice>();
        assert!(matches!(kafka, Ok(StoreChoice::Kafka(address)) if address.brokers().len() == 2));
        for wrong in ["http://:hunter2@a", "kafka://x:hunter2@a:1", "kafka://a"] {
            let refused = wrong.parse::<StoreChoice>().map_err(|error| error.to_string());
            let allowed = "allowed: embedded, redis (starts one), the address of one, as for \
                           bookingq worker, kafka (starts a broker), or \
                           kafka://HOST:PORT[,HOST:PORT…][/PREFIX]";
            assert_eq!(refused, Err(allowed.to_owned()), "{wrong}");
        }
    }
}

mod items {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use bookingq_core::{Quantity, SaleRules, SoldOutRule, SoldOutRules, Timestamp};
    use bookingq_crowd::{CrowdDemand, Wanted};
    use bookingq_sim::ledger::{Availability, ItemStock};
    use bookingq_up::items::{ItemEvidence, lines};

    const SENT_AWAY: Timestamp = Timestamp(1000);

    /// How many of two clients were passed by: one wants 2 and was sent away at [`SENT_AWAY`], the
    /// other wants 1 and waits.
    fn passed_by(stock: ItemStock, rule: SoldOutRule) -> u64 {
        let want = |number| Wanted { item: "A".into(), quantity: Quantity::new(number).unwrap() };
        let sent_away =
            CrowdDemand { clients: 1, sold_out_at: vec![SENT_AWAY], ..CrowdDemand::default() };
        let waits = CrowdDemand { clients: 1, parked: 1, ..CrowdDemand::default() };
        let stocks = BTreeMap::from([(Arc::from("A"), stock)]);
        let sold_out = SoldOutRules { default: rule, ..SoldOutRules::default() };
        let evidence = ItemEvidence {
            stocks: &stocks,
            demand: &BTreeMap::from([(want(2), sent_away), (want(1), waits)]),
            rules: &SaleRules { sold_out, ..SaleRules::default() },
            end: Timestamp(60_000),
        };
        let report = evidence.report();
        assert_eq!((report[0].clients, report[0].sold_out, report[0].parked), (2, 1, 1));
        let broken = lines(&report).iter().any(|line| line.contains("BROKEN"));
        assert_eq!(broken, report[0].passed_by > 0);
        report[0].passed_by
    }

    fn left(available: u64) -> ItemStock {
        ItemStock { stock: 10, available, ..ItemStock::default() }
    }

    fn returned(at: u64, available: u64) -> ItemStock {
        let returns = vec![Availability { at: Timestamp(at), available }];
        ItemStock { stock: 10, returns, ..ItemStock::default() }
    }

    #[test]
    fn clients_are_passed_by_if_what_they_wanted_was_left_or_came_back() {
        let wait = |stock| passed_by(stock, SoldOutRule::Wait);
        assert_eq!([wait(left(0)), wait(left(1)), wait(left(2))], [0, 1, 2]);
        assert_eq!(wait(returned(SENT_AWAY.0 + 1, 2)), 1);
        assert_eq!(
            wait(returned(SENT_AWAY.0 + 1, 1)),
            0,
            "too few for the client that was sent away"
        );
        assert_eq!(wait(returned(SENT_AWAY.0, 2)), 0, "before the client was sent away");
        assert_eq!(wait(ItemStock { available: 1, ..returned(59_000, 1) }), 0, "it is on offer");
    }

    #[test]
    fn what_is_unknown_or_was_not_promised_breaks_no_promise() {
        for unknown in [ItemStock { lies: 1, ..left(2) }, ItemStock { restocked: 2, ..left(2) }] {
            assert_eq!(passed_by(unknown, SoldOutRule::Wait), 0);
        }
        assert_eq!(passed_by(left(2), SoldOutRule::End), 0);
    }
}

mod charts {
    use bookingq_up::screen::{Sparkline, bar};

    #[test]
    fn a_sparkline_is_as_high_as_its_highest_value_and_a_minute_long() {
        let mut line = Sparkline::default();
        for value in 0..100 {
            line.push(value);
        }
        let text = line.to_string();
        assert_eq!(text.chars().count(), 60);
        assert!(text.ends_with('█'), "{text}");
    }

    #[test]
    fn a_bar_is_never_longer_than_it_may_be() {
        assert_eq!(bar(1, 2, 4), "██░░");
        assert_eq!(bar(9, 2, 4), "████");
        assert_eq!(bar(0, 0, 2), "░░");
    }
}

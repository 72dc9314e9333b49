//! Decisions of a worker that need no socket: what an answer means for its task, when the circuit
//! opens, which requests are valid, and which flags fit together.

#![allow(clippy::unwrap_used)]

mod classify {
    use std::time::Duration;

    use bookingq_core::limits::MAX_REASON_BYTES;
    use bookingq_core::{
        BookingId, ClientId, Details, Fence, Generation, Outcome, Place, Timestamp,
    };
    use bookingq_store::{Task, TaskKind, TaskOutcome, Try};
    use bookingq_worker::downstream::ServiceCallError;
    use bookingq_worker::downstream::booking::ServiceAnswer;
    use bookingq_worker::downstream::breaker::ServiceHealth;
    use bookingq_worker::processing::classify::classify;
    use tonic::Code;

    fn task(kind: TaskKind, attempts: u32) -> Task {
        Task {
            client: ClientId::new("c").unwrap(),
            booking: BookingId::from_u128(1),
            fence: Fence(1),
            kind,
            place: Place::numbered(1),
            attempts,
            details: Details::default(),
            enqueued_at: Timestamp(0),
            trace: None,
            first: true,
            item_open: true,
            generation: Generation::default(),
            cancelled: false,
        }
    }

    fn outcome(task: &Task, error: ServiceCallError, health: ServiceHealth) -> TaskOutcome {
        classify(
            task,
            Err(error),
            health,
            &bookingq_core::defaults::RETRY,
            Duration::from_secs(60),
            0.0,
        )
    }

    fn silence() -> ServiceCallError {
        ServiceCallError::Silent("gone".into())
    }

    fn error() -> ServiceCallError {
        ServiceCallError::Answered(Code::Internal, "oops".into())
    }

    #[test]
    fn an_outage_burns_no_attempts() {
        let last = task(TaskKind::Reserve, 4);
        for (error, health) in [
            (silence(), ServiceHealth::Silent),
            (silence(), ServiceHealth::CircuitOpen),
            (error(), ServiceHealth::CircuitOpen),
        ] {
            let outcome = outcome(&last, error, health);
            assert!(matches!(outcome, TaskOutcome::Retry { counts: Try::Free, .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_booking_that_alone_fails_is_given_up_after_its_attempts() {
        for (error, health) in
            [(silence(), ServiceHealth::AnsweringOthers), (error(), ServiceHealth::Silent)]
        {
            let early = outcome(&task(TaskKind::Reserve, 3), error.clone(), health);
            assert!(matches!(early, TaskOutcome::Retry { counts: Try::Counts, .. }), "{early:?}");
            let last = outcome(&task(TaskKind::Reserve, 4), error, health);
            assert!(matches!(last, TaskOutcome::GiveUp { .. }), "{last:?}");
        }
    }

    #[test]
    fn invariant_4_confirm_and_release_are_never_given_up() {
        let confirm = TaskKind::Confirm {
            reservation: bookingq_core::ReservationId::new("r").unwrap(),
            payment: bookingq_core::PaymentId::new("p").unwrap(),
        };
        let release = TaskKind::Release { reservation: None, outcome: Outcome::Expired };
        for kind in [confirm, release] {
            let outcome = outcome(&task(kind, 1_000_000), error(), ServiceHealth::AnsweringOthers);
            assert!(matches!(outcome, TaskOutcome::Retry { .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_reason_from_outside_is_cut_at_a_character() {
        let answer = ServiceAnswer::Rejected("ä\n".repeat(1000));
        let (task, retry) = (task(TaskKind::Reserve, 0), &bookingq_core::defaults::RETRY);
        let hold = Duration::from_secs(60);
        let outcome = classify(&task, Ok(answer), ServiceHealth::Silent, retry, hold, 0.0);
        let TaskOutcome::Rejected { reason } = outcome else { panic!("{outcome:?}") };
        assert_eq!(reason.len(), MAX_REASON_BYTES);
        assert!(reason.chars().all(|c| c == 'ä'));
    }
}

mod breaker {
    use std::time::Duration;

    use bookingq_worker::downstream::breaker::{Breaker, Circuit, ServiceHealth};
    use tokio::time::Instant;

    /// Failures in a row that open the circuit.
    const THRESHOLD: u32 = 10;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_the_first_success() {
        let (breaker, start) = (Breaker::new(), Instant::now());
        for _ in 1..THRESHOLD {
            breaker.failed(start);
        }
        assert_eq!(breaker.admit(start, 0.0), Circuit::Closed);
        breaker.failed(start);
        assert!(matches!(breaker.admit(start, 0.0), Circuit::OpenUntil(_)));
        let later = start + Duration::from_secs(1);
        assert_eq!(breaker.admit(later, 0.0), Circuit::Probe);
        assert!(matches!(breaker.admit(later, 0.0), Circuit::OpenUntil(_)), "one probe at a time");
        breaker.succeeded(later);
        assert_eq!(breaker.admit(later, 0.0), Circuit::Closed);
        assert_eq!(breaker.health_since(start), ServiceHealth::AnsweringOthers);
    }

    #[test]
    fn single_failures_between_successes_never_open_it() {
        let (breaker, now) = (Breaker::new(), Instant::now());
        for _ in 0..1000 {
            breaker.failed(now);
            breaker.succeeded(now);
        }
        assert_eq!(breaker.admit(now, 0.0), Circuit::Closed);
    }
}

mod parse {
    use bookingq_core::QueueName;
    use bookingq_proto::v1;
    use bookingq_worker::service::parse::Parser;

    fn parser() -> Parser {
        Parser::new(QueueName::new("concert").unwrap())
    }

    fn request() -> v1::EnqueueRequest {
        v1::EnqueueRequest {
            queue: "concert".into(),
            client_id: "c".into(),
            request_id: "r".into(),
            ..Default::default()
        }
    }

    #[test]
    fn each_bad_field_of_enqueue_is_named() {
        type Spoil = fn(&mut v1::EnqueueRequest);
        let cases: [(&str, Spoil); 8] = [
            ("queue", |r| r.queue = "Not a queue".into()),
            ("queue", |r| r.queue.clear()),
            ("client_id", |r| r.client_id.clear()),
            ("client_id", |r| r.client_id = "x".repeat(1 << 20)),
            ("request_id", |r| r.request_id = "a\u{7}".into()),
            ("item", |r| r.item = "a\nb".into()),
            ("quantity", |r| r.quantity = -3),
            ("payload", |r| r.payload = vec![0; 1 << 20].into()),
        ];
        for (field, spoil) in cases {
            let mut request = request();
            spoil(&mut request);
            let error = parser().enqueue(&request, None).unwrap_err();
            assert_eq!((error.field(), error.reason()), (field, v1::ErrorReason::InvalidArgument));
        }
        assert!(parser().enqueue(&request(), None).is_ok());
    }

    #[test]
    fn another_queue_is_not_found() {
        let request = v1::EnqueueRequest { queue: "theatre".into(), ..request() };
        let error = parser().enqueue(&request, None).unwrap_err();
        assert_eq!(error.reason(), v1::ErrorReason::QueueNotFound);
    }
}

mod args {
    use bookingq_api::BookingQueueSpec;
    use bookingq_api::args::{ServiceArgs, WorkerArgs};
    use bookingq_worker::WorkerConfig;

    /// Why the arguments of a worker are refused after this change.
    fn refused(change: impl FnOnce(&mut WorkerArgs)) -> Option<String> {
        let spec = r#"{ "booking": { "endpoint": "http://a:1" } }"#;
        let plan = serde_json::from_str::<BookingQueueSpec>(spec).unwrap().resolve("q").unwrap();
        let mut args = WorkerArgs::of(&plan, ([127, 0, 0, 1], 0).into());
        change(&mut args);
        WorkerConfig::try_from(args).err().map(|error| error.to_string())
    }

    #[test]
    fn flags_that_do_not_fit_together_are_named() {
        assert_eq!(refused(|_| {}), None);
        let half = refused(|args| args.server.key = Some("key.pem".into()));
        assert_eq!(
            half.as_deref(),
            Some("--tls-key is set without --tls-cert; allowed: both or neither")
        );
        let no_url = refused(|args| args.booking = "a:1".to_owned()).unwrap();
        assert!(no_url.ends_with("allowed: http://HOST:PORT or https://HOST:PORT"), "{no_url}");
        let tls = || ServiceArgs { ca: Some("ca.pem".into()), ..ServiceArgs::default() };
        let plain = refused(|args| args.booking_call = tls().into()).unwrap();
        assert!(plain.contains("because --booking-tls-… is set"), "{plain}");
    }
}

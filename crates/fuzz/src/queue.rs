//! A `BookingQueue` in YAML.

use bookingq_api::{BookingQueue, Problems};
use bookingq_operator::build::{self, BuildInputs};
use bookingq_operator::environment::OperatorEnvironment;
use bookingq_operator::secrets::Secrets;
use bookingq_operator::target::QueueTarget;

/// Longest name that every kind of object accepts.
const LONGEST: usize = 63;

/// Builds the objects of a `BookingQueue`.
///
/// # Panics
/// When a problem does not name its field, or an object has a name that the API server refuses.
pub fn queue(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(mut queue) = serde_saphyr::from_str::<BookingQueue>(text) else { return false };
    queue.metadata.uid.get_or_insert_default();
    let environment = OperatorEnvironment {
        image: "bookingq:test".to_owned(),
        namespace: "bookingq-system".to_owned(),
        release: "test".to_owned(),
    };
    let built = QueueTarget::resolve(&queue).and_then(|target| {
        let secrets = Secrets::default();
        let inputs = BuildInputs { target: &target, secrets: &secrets, environment: &environment };
        build::build(&inputs)
    });
    match built {
        Ok(objects) => {
            assert!(!objects.is_empty(), "an object that cannot be written");
            assert!(objects.iter().all(|object| object.name().len() <= LONGEST));
            true
        }
        Err(problems) => {
            named(&problems);
            false
        }
    }
}

fn named(Problems(problems): &Problems) {
    assert!(!problems.is_empty(), "refused without a problem");
    for problem in problems {
        assert!(
            problem.path.starts_with("spec") || problem.path.starts_with("metadata"),
            "{problem:?}"
        );
        assert!(!problem.allowed.is_empty(), "{problem:?}");
    }
}

//! Every interleaving of three workers.

use std::time::Duration;

use bookingq_core::SaleRules;
use bookingq_queue::{Scope, Settlement, Task, TaskOutcome};

use crate::sale::{LEASE, Sale, Step};

/// What one of three workers does next: claim, call the Booking Service, settle.
fn turn(
    sale: &mut Sale,
    worker: usize,
    stage: usize,
    tasks: &mut [Option<(Task, TaskOutcome)>; 3],
) {
    match (stage, tasks[worker].take()) {
        (0, None) => {
            let task = sale.queue.claim(1, LEASE, Scope::Everything, sale.now).tasks.pop();
            let nothing = TaskOutcome::Released;
            tasks[worker] = task.map(|task| (task, nothing));
        }
        (1, Some((task, _))) => {
            let outcome = sale.stock.answer(&task);
            tasks[worker] = Some((task, outcome));
        }
        (2, Some((task, outcome))) => {
            let lease = task.lease();
            let busy = Duration::ZERO;
            sale.queue.settle(&Settlement { lease, outcome, busy }, sale.now);
        }
        _ => {}
    }
    sale.check_endings();
}

/// Calls `each` with every order in which three workers take three turns each.
fn orders(order: &mut Vec<usize>, left: [usize; 3], each: &mut impl FnMut(&[usize])) {
    if left == [0; 3] {
        each(order);
    }
    for worker in 0..3 {
        if left[worker] > 0 {
            let mut rest = left;
            rest[worker] -= 1;
            order.push(worker);
            orders(order, rest, each);
            order.pop();
        }
    }
}

/// One of the three releases the only front row seats, the others meet the item closed or open, so
/// that a refusal comes before, between and after the call and the settlement of the release.
#[test]
fn a_refusal_from_before_a_release_never_closes_what_came_back() {
    let mut tried = 0;
    for was_closed in [false, true] {
        orders(&mut Vec::new(), [3; 3], &mut |order| {
            let mut sale = Sale::new(SaleRules::default(), false);
            let front_row = 2;
            sale.join(0, front_row, 2);
            for step in
                [Step::Claim { most: 1 }, Step::Answer { task: 0 }, Step::Settle { task: 0 }]
            {
                sale.run(&step);
            }
            for client in 1..5 {
                sale.join(client, front_row, 1);
            }
            if was_closed {
                for step in
                    [Step::Claim { most: 1 }, Step::Answer { task: 0 }, Step::Settle { task: 0 }]
                {
                    sale.run(&step);
                }
            }
            sale.run(&Step::Advance { seconds: 30 });
            sale.run(&Step::Sweep);
            let (mut stages, mut tasks) = ([0; 3], [None, None, None]);
            for &worker in order {
                turn(&mut sale, worker, stages[worker], &mut tasks);
                stages[worker] += 1;
            }
            // Both seats are given at once, without waiting for a probe.
            for _ in 0..6 {
                sale.run(&Step::Claim { most: 3 });
                while !sale.hand.is_empty() {
                    sale.run(&Step::Answer { task: 0 });
                }
                while !sale.answered.is_empty() {
                    sale.run(&Step::Settle { task: 0 });
                }
            }
            let served = sale.queue.snapshot(sale.now);
            assert_eq!((served.holds, sale.stock.left["front row"]), (2, 0), "{order:?}");
            tried += 1;
        });
    }
    assert_eq!(tried, 2 * 1680);
}

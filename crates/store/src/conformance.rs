//! One suite that every store passes: what design section 5 promises, each invariant by its number.
//!
//! ```text
//!   conformance_tests!(make)   one #[tokio::test] for each case; `make` gives a new, empty Subject
//!     |- places     joining, order, positions        |- payments  the deadline against the payment
//!     |- tasks      claims, leases, fences           |- leaving   cancelling in every state
//!     |- endings    retries, giving up, releasing    '- outbox    events, followers, the notifier
//! ```
//!
//! The suite owns the time: nothing happens by waiting.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a case fails by a panic")]
#![allow(clippy::unchecked_time_subtraction, reason = "of constants")]

pub mod endings;
pub mod leaving;
pub mod outbox;
pub mod payments;
pub mod places;
mod scene;
pub mod tasks;

use std::time::Duration;

use async_trait::async_trait;

use crate::Store;

/// A store under test whose clock stands still until it is moved.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store; new and empty at the start of a case.
    fn store(&self) -> &dyn Store;

    /// Moves its clock forward.
    async fn advance(&self, by: Duration);
}

/// Makes a test of each case. `$make` is the path of an `async fn()` that returns a new
/// [`Subject`].
#[macro_export]
macro_rules! conformance_tests {
    ($make:path) => {
        $crate::conformance_tests! { @modules $make;
            places {
                invariant_1_the_same_request_is_the_same_booking
                invariant_1_an_earlier_request_never_makes_another_booking
                invariant_1_two_requests_of_one_client_in_one_batch_are_one_booking
                invariant_1_every_acknowledged_place_is_in_the_line
                another_request_of_a_waiting_client_finds_its_place
                a_client_whose_booking_is_final_joins_again_at_the_end
                a_closed_queue_takes_nobody_new_but_answers_repeats
                the_line_can_be_read_in_pieces
                an_unknown_client_has_no_booking
            }
            tasks {
                invariant_2_bookings_are_claimed_in_line_order
                invariant_2_a_retry_keeps_its_place_and_goes_first
                invariant_2_a_dead_workers_task_keeps_its_place_and_goes_first
                invariant_3_a_late_worker_settles_nothing
                invariant_3_a_late_worker_renews_nothing
                invariant_3_a_fence_settles_once
                invariant_3_a_settlement_of_an_earlier_booking_changes_nothing
                invariant_3_an_outcome_that_does_not_fit_changes_nothing
                invariant_7_nothing_is_due_before_the_stores_clock_says_so
                invariant_8_a_batch_of_any_size_is_done
                a_renewed_lease_is_not_claimed_by_others
                a_paused_queue_gives_only_what_is_due
                a_claim_of_what_is_due_leaves_the_line_alone
                the_first_claim_of_a_booking_says_so
            }
            endings {
                invariant_4_a_booking_that_runs_out_of_attempts_is_released_before_it_fails
                invariant_4_a_refused_confirmation_is_released_before_it_fails
                invariant_4_confirm_and_release_are_retried_for_ever
                invariant_4_a_release_that_finds_a_sale_ends_as_that
                invariant_6_never_more_confirmed_than_there_is_stock
                only_tries_that_count_are_counted_and_each_kind_from_zero
                sold_out_and_rejected_are_final_at_once
                what_only_a_worker_needs_is_gone_at_the_end
                the_slot_time_of_settled_tasks_is_summed
            }
            payments {
                invariant_5_a_late_payment_is_refused_even_if_no_sweeper_ran
                invariant_5_the_deadline_itself_is_too_late
                invariant_5_a_paid_booking_cannot_expire
                invariant_5_an_overdue_hold_is_released_and_the_payment_stays_refused
                invariant_8_a_repeated_payment_changes_nothing
                another_payment_of_a_paid_booking_is_refused
                there_is_nothing_to_pay_before_the_hold
                a_payment_for_another_booking_finds_none
                a_sweep_takes_the_earliest_first_and_says_when_to_come_back
            }
            leaving {
                leaving_the_line_moves_everyone_behind_by_one
                invariant_4_who_leaves_while_reserving_is_released
                invariant_4_who_leaves_with_a_hold_is_released
                who_leaves_while_reserving_and_is_refused_keeps_the_refusal
                a_retry_of_a_booking_whose_client_left_becomes_a_release
                who_has_paid_cannot_leave
                invariant_8_leaving_twice_is_leaving_once
            }
            outbox {
                every_transition_is_told_once_and_in_order
                a_follower_may_stop_anywhere_and_go_on
                a_waiting_follower_is_woken
                a_follower_that_waits_in_vain_is_told_so
                a_follower_from_elsewhere_is_told_to_start_anew
                only_one_may_notify_and_its_mark_never_goes_back
                a_snapshot_counts_what_is_there
            }
        }
    };
    (@modules $make:path; $($module:ident { $($case:ident)+ })+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let subject = $make().await;
                $crate::conformance::$module::$case(&subject).await;
            }
        )+)+
    };
}

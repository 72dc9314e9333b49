//! One suite that every store must pass. A test named `invariant_N_…` checks invariant N of
//! ARCHITECTURE.md.
//!
//! ```text
//!   conformance_tests!(make)   one #[tokio::test] for each case; `make` returns an empty Subject
//!     |- places     joining, order, positions        |- payments  the deadline against the payment
//!     |- tasks      claims, leases, fences           |- leaving   cancelling in every state
//!     |- endings    retries, giving up, releasing    |- outbox    events, followers, the notifier
//!     |- items      sold out, at the moment or not   |- rules     opening, outflow, holds
//!     |- late       payments after the deadline      |- stock     who gets what comes back
//!     |- returns    what probes and counts say       '- strays    a Reserve that arrives late
//! ```
//!
//! The suite moves the store's clock itself, so no case waits for time to pass.
#![allow(clippy::unchecked_time_subtraction, reason = "of constants")]

pub mod endings;
pub mod items;
pub mod late;
pub mod leaving;
pub mod outbox;
pub mod payments;
pub mod places;
pub mod returns;
pub mod rules;
pub mod stock;
pub mod strays;
pub mod tasks;
pub mod testbed;

use std::time::Duration;

use async_trait::async_trait;

use bookingq_store::Store;

/// A store under test whose clock moves only when the suite advances it.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The store, empty at the start of a case.
    fn store(&self) -> &dyn Store;

    /// Advances the store's clock.
    async fn advance(&self, by: Duration);

    /// Sets the store's clock back.
    async fn set_back(&self, by: Duration);
}

/// Declares one test for each case. `$make` names an `async fn()` that returns a new [`Subject`].
macro_rules! conformance_tests {
    ($make:path) => {
        conformance_tests! { @modules $make;
            places {
                invariant_1_the_same_request_is_the_same_booking
                invariant_1_an_earlier_request_never_makes_another_booking
                invariant_1_two_requests_of_one_client_in_one_batch_are_one_booking
                invariant_1_every_acknowledged_place_is_in_the_line
                another_request_of_a_waiting_client_returns_its_booking
                a_client_whose_booking_is_final_joins_again_at_the_end
                a_closed_queue_refuses_new_clients_but_answers_repeats
                the_line_can_be_read_page_by_page
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
                a_paused_queue_hands_out_due_tasks_only
                a_claim_of_due_tasks_leaves_the_line_alone
                the_first_claim_of_a_booking_is_flagged
            }
            endings {
                invariant_4_a_booking_that_runs_out_of_attempts_is_released_before_it_fails
                invariant_4_a_refused_confirmation_is_released_before_it_fails
                invariant_4_confirm_and_release_are_retried_for_ever
                invariant_4_a_release_of_a_confirmed_reservation_ends_confirmed
                invariant_6_never_more_confirmed_than_there_is_stock
                only_tries_that_count_are_counted_and_each_kind_from_zero
                sold_out_and_rejected_are_final_at_once
                a_final_booking_keeps_its_ids_but_not_its_details
                the_slot_time_of_settled_tasks_is_summed
            }
            payments {
                invariant_5_a_late_payment_is_refused_even_if_no_sweeper_ran
                invariant_5_the_deadline_itself_is_too_late
                invariant_5_a_paid_booking_cannot_expire
                invariant_5_an_overdue_hold_is_released_and_the_payment_stays_refused
                invariant_8_a_repeated_payment_changes_nothing
                another_payment_of_a_paid_booking_is_refused
                a_payment_before_the_hold_is_refused
                a_payment_for_another_booking_finds_none
                a_sweep_expires_the_earliest_hold_first_and_returns_the_next_deadline
            }
            leaving {
                cancelling_in_the_line_moves_every_later_client_up_by_one
                invariant_4_a_booking_cancelled_while_reserving_is_released
                invariant_4_a_booking_cancelled_with_a_hold_is_released
                a_booking_cancelled_while_reserving_keeps_a_refusal_of_the_booking_service
                a_retry_of_a_cancelled_booking_becomes_a_release
                a_paid_booking_cannot_be_cancelled
                invariant_8_cancelling_twice_is_cancelling_once
            }
            outbox {
                every_transition_is_published_once_and_in_order
                a_follower_can_stop_at_any_event_and_resume
                a_waiting_follower_is_woken
                a_follower_without_new_events_gets_an_empty_answer
                a_follower_of_lost_data_gets_a_gap
                only_one_notifier_has_the_lease_and_its_cursor_never_goes_back
                a_snapshot_counts_every_booking_once
                the_workers_are_shown_as_they_were_last_recorded
            }
            items {
                who_wants_an_item_that_is_no_longer_sold_ends_at_once
                a_refusal_of_four_neither_ends_nor_parks_who_wants_fewer
                a_refusal_from_before_a_return_does_not_hide_what_came_back
                a_refusal_from_before_a_restocking_closes_nothing
                with_the_rule_end_a_refusal_ends_everybody_who_wants_as_much
                an_ended_item_goes_on_when_a_smaller_quantity_is_claimed
                an_ended_item_is_tried_again_by_a_client_that_asks_for_it
                cancelling_while_parked_releases_what_was_asked_for
                parked_bookings_have_positions_and_can_be_read_page_by_page
                a_crowd_is_parked_and_ended_a_step_at_a_time
                a_rejected_booking_gives_its_share_back
                an_open_item_without_bookings_is_forgotten
                a_batch_of_settlements_takes_effect_in_its_order
            }
            late {
                a_late_payment_reacquires_what_can_still_be_had
                invariant_8_a_repeated_late_payment_finds_the_new_booking
                a_late_payment_for_a_sold_out_item_ends_sold_out
                a_reacquired_booking_survives_its_worker
            }
            stock {
                ten_of_ten_expire_unpaid_and_the_first_ten_who_wait_get_them
                a_party_of_four_waits_while_three_are_left_and_is_served_when_more_come_back
                what_comes_back_goes_to_the_smallest_place_whose_quantity_fits
                a_probe_opens_the_item_and_a_refused_one_lets_it_rest
            }
            returns {
                what_is_left_and_what_comes_back_are_counted_together
                a_repeated_probe_is_still_a_probe
                a_probe_that_leaves_nothing_opens_nothing
                what_others_hold_keeps_an_item_from_ending
                people_wait_again_when_the_rule_becomes_wait
            }
            strays {
                invariant_4_a_refused_booking_is_released_if_a_late_reserve_may_arrive
                invariant_4_a_rejected_booking_is_released_if_a_late_reserve_may_arrive
                invariant_9_an_item_ends_after_its_strays
                a_stray_that_is_found_reserved_is_held
                a_rule_that_becomes_end_releases_the_strays_that_wait
                a_cancelled_stray_is_asked_no_more
                a_late_payment_whose_reserve_was_lost_ends_after_a_release
            }
            rules {
                no_booking_leaves_the_line_before_the_sale_opens
                a_queue_that_awaits_its_rules_serves_no_booking_before
                no_minute_has_more_claims_than_the_rate
                the_outflow_can_be_changed_while_it_serves
                retries_and_releases_use_no_tokens
                at_most_as_many_as_max_holds_are_unsettled
                a_clock_set_back_does_not_stop_the_outflow
                the_rules_are_kept_as_they_were_set
            }
        }
    };
    (@modules $make:path; $($module:ident { $($case:ident)+ })+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                let subject = $make().await;
                let testbed = $crate::conformance::testbed::Testbed::new(&subject);
                $crate::conformance::$module::$case(&testbed).await;
            }
        )+)+
    };
}

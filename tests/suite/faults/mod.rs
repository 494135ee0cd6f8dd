//! The fault matrix: for each way in which a service or the network goes wrong, what a provider on all layers does
//! about it. The number is the row of the matrix, printed by `make faults`; each case runs over every service that
//! its row below names, as a test of its own.
//!
//! Rows that a service cannot have:
//! - 3, a used-up daily limit: the limits of Dataverse, Jira and Dropbox are short windows whose refusals name a pause
//!   (row 5).
//! - 22 and 23, links to the next page: the pages of Jira, Dropbox and Google have tokens.
//! - 24, an address in the answer with the token: those of Dataverse, Jira and Dropbox are part of the configuration.
//! - 27, fewer records than announced: Dataverse, Jira and Dropbox announce no total on pages.
//! - 28, a place that died is replaced: Google's lists have no order by a key; the place that is gone is told.
//! - 30, expired places: Dataverse's paging cookies carry the place itself; one that is refused is told (row 28).
//! - 30, the service's own order: Jira cannot order by text as records have it, so the order is made here; Dropbox
//!   orders nothing.
//! - 30, the service's own order: Google orders by the time of the last change alone.
//! - 49, an unknown outcome: Google takes ids of ours, so that a row which is sent again is made once.
//! - 49, rows that belong together: a batch to Dataverse, Jira or Dropbox has an outcome of its own for each row.
//! - 50, an upsert by a field that is not unique: Dataverse's alternate keys, Jira's issue keys and Dropbox's paths are
//!   unique.
//! - 52, answers in another order: only those of Google's batches have names.
//! - 54, rows that meet a busy service: Jira refuses such a request as a whole.
//! - 56, a field that goes: Jira leaves out what it does not know, and the next description tells.
//! - 56 to 58, fields that change: Dropbox's and Google's are those of their specifications.
//! - 60, paths: only Dropbox's records have them.

mod contents;
mod dropbox;
mod dynamics;
mod google_calendar;
mod jira;
mod meanwhile;
mod paths;
mod reading;
mod salesforce;
mod subject;
mod writing;

/// A test for each case and service.
macro_rules! matrix {
    ($($group:ident($subject:ident) { $($case:ident: $($service:ident)+;)+ })+) => {
        $($(
            mod $case {
                $(
                    #[tokio::test]
                    async fn $service() {
                        super::$group::$case(super::$service::$subject).await;
                    }
                )+
            }
        )+)+
    };
}

matrix! {
    reading(SERVICE) {
        fault_01_a_token_that_ends_in_mid_stream_is_renewed_once: salesforce dynamics jira dropbox google_calendar;
        fault_02_a_token_rejected_again_ends_without_a_loop: salesforce dynamics jira dropbox google_calendar;
        fault_03_a_used_up_daily_limit_is_told_at_once_and_can_be_resumed: salesforce;
        fault_03_a_limit_told_as_a_missing_right_is_waited_out: google_calendar;
        fault_04_a_missing_right_is_told_after_one_request: salesforce dynamics jira dropbox google_calendar;
        fault_05_retry_after_seconds_is_waited_out_and_nothing_else_is_sent: salesforce dynamics jira dropbox google_calendar;
        fault_06_retry_after_as_a_date_is_waited_out: salesforce dynamics jira dropbox google_calendar;
        fault_07_a_senseless_retry_after_is_clamped_or_ignored: salesforce dynamics jira dropbox google_calendar;
        fault_08_short_outages_are_waited_out_with_jitter: salesforce dynamics jira dropbox google_calendar;
        fault_09_a_lasting_outage_ends_the_search_which_can_be_resumed: salesforce dynamics jira dropbox google_calendar;
        fault_10_a_gateways_html_is_no_answer_of_the_service: salesforce dynamics jira dropbox google_calendar;
        fault_11_a_reset_in_the_body_repeats_that_page_alone: salesforce dynamics jira dropbox google_calendar;
        fault_12_a_cut_chunked_body_repeats_that_page_alone: salesforce dynamics jira dropbox google_calendar;
        fault_13_a_cut_gzip_stream_is_detected: salesforce dynamics jira dropbox google_calendar;
        fault_14_a_gzip_bomb_stops_at_the_limit: salesforce dynamics jira dropbox google_calendar;
        fault_15_a_login_page_is_never_the_end_of_the_data: salesforce dynamics jira dropbox google_calendar;
        fault_16_cut_json_and_empty_bodies_are_never_the_end_of_the_data: salesforce dynamics jira dropbox google_calendar;
        fault_17_silence_after_the_headers_is_given_up: salesforce dynamics jira dropbox google_calendar;
        fault_18_a_body_that_trickles_is_given_up_by_its_rate: salesforce dynamics jira dropbox google_calendar;
        fault_19_a_host_that_cannot_be_reached_is_named: salesforce dynamics jira dropbox google_calendar;
        fault_20_a_redirect_to_another_host_is_refused: salesforce dynamics jira dropbox google_calendar;
        fault_21_a_redirect_from_https_to_http_is_refused: salesforce dynamics jira dropbox google_calendar;
        fault_22_a_next_link_to_another_host_is_refused: salesforce dynamics;
        fault_23_next_links_in_disguise_are_refused: salesforce dynamics;
        fault_24_an_instance_address_elsewhere_gets_no_token: salesforce;
        fault_25_a_place_that_comes_again_is_noticed: salesforce dynamics jira dropbox google_calendar;
        fault_26_empty_pages_go_on: salesforce dynamics jira dropbox google_calendar;
        fault_27_fewer_records_than_announced_is_an_error: salesforce;
        fault_28_a_place_that_died_is_replaced_by_its_last_key: salesforce jira dropbox;
        fault_28_a_place_that_died_is_told: dynamics google_calendar;
        fault_35_a_refused_renewal_names_what_ends_sign_ins_by_itself: google_calendar;
    }
    contents(SERVICE) {
        fault_57_a_field_of_an_unknown_kind_passes_its_value_through: salesforce dynamics jira;
        fault_59_a_value_never_becomes_part_of_the_query: salesforce dynamics jira dropbox google_calendar;
        fault_61_nothing_can_smuggle_a_line_into_a_request: salesforce dynamics jira dropbox google_calendar;
        fault_62_a_huge_field_passes_under_the_limit_and_is_refused_above_it: salesforce dynamics jira dropbox google_calendar;
        fault_63_a_value_nested_too_deep_is_one_bad_record: salesforce dynamics jira dropbox google_calendar;
        fault_64_of_a_property_named_twice_the_last_counts: salesforce dynamics jira dropbox google_calendar;
        fault_65_bad_utf8_and_lone_surrogates_are_bad_records_and_never_replaced: salesforce dynamics jira dropbox google_calendar;
        fault_66_numbers_keep_their_digits: salesforce dynamics jira dropbox google_calendar;
    }
    meanwhile(SERVICE) {
        fault_30_rows_that_come_and_go_between_pages_lose_and_double_nothing: salesforce dynamics jira dropbox google_calendar;
        fault_30_the_same_when_every_place_in_the_result_expires: salesforce jira dropbox;
        fault_30_the_same_in_the_services_own_order: salesforce dynamics;
        fault_30_a_limit_is_reached_although_rows_within_it_go: salesforce dynamics jira dropbox google_calendar;
        fault_31_records_on_two_pages_are_given_once_and_counted: salesforce dynamics jira dropbox google_calendar;
        fault_32_clocks_that_differ_by_ten_minutes_change_nothing: salesforce dynamics jira dropbox google_calendar;
        fault_56_a_field_that_goes_during_a_search_is_named: salesforce dynamics;
        fault_56_a_field_that_comes_or_changes_during_a_search_does_not_disturb_it: salesforce dynamics jira;
        fault_58_names_that_need_quotes_are_told_exactly_and_never_sent: salesforce dynamics jira dropbox google_calendar;
        fault_58_a_description_with_a_name_that_no_query_can_carry_does_not_reach_one: salesforce dynamics jira;
    }
    paths(SERVICE) {
        fault_60_no_path_leads_out_of_the_folder_of_its_type: dropbox;
    }
    writing(WRITTEN) {
        fault_49_a_create_whose_answer_is_lost_is_found_by_its_mark: salesforce dynamics jira dropbox;
        fault_49_a_create_under_an_id_of_ours_is_sent_again_and_made_once: google_calendar;
        fault_49_without_a_mark_the_outcome_is_unknown_and_there_is_one_record: salesforce dynamics jira dropbox;
        fault_49_a_create_that_did_not_arrive_is_sent_again: salesforce dynamics jira dropbox google_calendar;
        fault_49_a_service_that_stays_away_leaves_the_outcome_unknown: salesforce dynamics jira dropbox google_calendar;
        fault_49_an_older_record_with_the_same_mark_is_not_taken_for_the_row: salesforce dynamics jira dropbox google_calendar;
        fault_49_rows_that_belong_together_are_not_sent_again_in_part: salesforce;
        fault_50_updates_upserts_and_deletes_whose_answer_is_lost_are_repeated: salesforce dynamics jira dropbox google_calendar;
        fault_50_an_upsert_by_a_field_that_is_not_unique_is_not_repeated_blindly: salesforce;
        fault_51_rows_refused_in_a_batch_fail_alone: salesforce dynamics jira dropbox google_calendar;
        fault_52_an_answer_of_another_length_makes_the_batch_ambiguous: salesforce dynamics jira dropbox google_calendar;
        fault_52_answers_in_another_order_find_their_rows: google_calendar;
        fault_53_a_row_that_fails_the_schema_is_told_alone: salesforce dynamics jira dropbox google_calendar;
        fault_54_rows_that_the_service_is_too_busy_for_are_sent_again_alone: salesforce dynamics dropbox google_calendar;
        fault_54_a_busy_service_is_tried_again_and_a_conflict_is_not: salesforce dynamics jira dropbox google_calendar;
    }
}

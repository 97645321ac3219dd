//! The transport suite, on the transport that it brings along, and on broken ones, each of which it
//! must find out.

mod broken_transports;

use std::time::Duration;

use broken_transports::{Broken, Fault};
use chat_core::testkit::{InProcessTransport, check_transport, check_transport_cases};

#[tokio::test]
async fn in_process_inboxes_carry_everything() {
    let report = check_transport(async |engine, _| InProcessTransport::new(&engine)).await;
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0, "{report}");
}

/// Finds out a broken transport, by each of these cases.
async fn finds_out(fault: Fault, by: &[&'static str]) {
    // What never comes need not be waited for as long as what is only late.
    let limit = Duration::from_millis(2_500);
    let broken = async |engine, _| Broken::new(&engine, fault);
    let report = check_transport_cases(by, limit, broken).await;
    assert_eq!(report.failures().count(), by.len(), "{fault:?} is not found out: {report}");
    assert!(report.failures().all(|(_, why)| !why.contains("no such case")), "{report}");
}

#[tokio::test]
async fn loses_events() {
    let by = [
        "messages_reach_every_connection_in_order",
        "many_rooms_at_once",
        "joining_while_messages_pour_in",
        "resuming_while_messages_pour_in",
    ];
    finds_out(Fault::LosesEvents, &by).await;
}

#[tokio::test]
async fn doubles_events() {
    let by = [
        "messages_reach_every_connection_in_order",
        "many_rooms_at_once",
        "joining_while_messages_pour_in",
        "resuming_while_messages_pour_in",
    ];
    finds_out(Fault::DoublesEvents, &by).await;
}

#[tokio::test]
async fn swaps_neighbours() {
    let by = ["messages_reach_every_connection_in_order", "what_waits_is_heard_before_the_end"];
    finds_out(Fault::SwapsNeighbours, &by).await;
}

#[tokio::test]
async fn events_before_replies() {
    let by = [
        "replies_come_after_what_was_and_before_what_they_cause",
        "every_command_is_answered_once",
    ];
    finds_out(Fault::EventsBeforeReplies, &by).await;
}

#[tokio::test]
async fn cuts_texts() {
    let by = ["messages_arrive_byte_for_byte"];
    finds_out(Fault::CutsTexts, &by).await;
}

#[tokio::test]
async fn trims_texts() {
    let by = ["messages_arrive_byte_for_byte"];
    finds_out(Fault::TrimsTexts, &by).await;
}

#[tokio::test]
async fn reads_ahead() {
    let by = ["a_slow_reader_is_told_and_catches_up", "a_peer_that_reads_nothing_is_closed"];
    finds_out(Fault::ReadsAhead, &by).await;
}

#[tokio::test]
async fn waits_for_the_slowest() {
    let by = ["a_slow_reader_is_told_and_catches_up", "a_peer_that_reads_nothing_is_closed"];
    finds_out(Fault::WaitsForTheSlowest, &by).await;
}

#[tokio::test]
async fn swallows_behind() {
    let by = ["a_slow_reader_is_told_and_catches_up"];
    finds_out(Fault::SwallowsBehind, &by).await;
}

#[tokio::test]
async fn never_closes() {
    let by = [
        "a_peer_that_reads_nothing_is_closed",
        "draining_closes_everybody_and_says_when_to_come_back",
        "what_waits_is_heard_before_the_end",
    ];
    finds_out(Fault::NeverCloses, &by).await;
}

#[tokio::test]
async fn talks_after_the_end() {
    let by = ["draining_closes_everybody_and_says_when_to_come_back"];
    finds_out(Fault::TalksAfterTheEnd, &by).await;
}

#[tokio::test]
async fn forgets_when_to_come_back() {
    let by = ["draining_closes_everybody_and_says_when_to_come_back"];
    finds_out(Fault::ForgetsWhenToComeBack, &by).await;
}

#[tokio::test]
async fn never_hangs_up() {
    let by = [
        "a_peer_that_vanishes_goes_offline",
        "devices_and_keyboards_are_counted",
        "many_come_and_go",
    ];
    finds_out(Fault::NeverHangsUp, &by).await;
}

#[tokio::test]
async fn mixes_tags() {
    let by = [
        "replies_keep_the_order_of_their_room",
        "commands_of_many_rooms_are_answered_each_in_its_order",
        "a_burst_of_a_thousand_commands",
    ];
    finds_out(Fault::MixesTags, &by).await;
}

#[tokio::test]
async fn loses_replies() {
    let by = ["replies_keep_the_order_of_their_room", "a_burst_of_a_thousand_commands"];
    finds_out(Fault::LosesReplies, &by).await;
}

#[tokio::test]
async fn answers_twice() {
    let by = ["replies_keep_the_order_of_their_room", "a_burst_of_a_thousand_commands"];
    finds_out(Fault::AnswersTwice, &by).await;
}

#[tokio::test]
async fn forgets_codes() {
    let by = ["refusals_carry_their_code", "too_many_commands_are_busy"];
    finds_out(Fault::ForgetsCodes, &by).await;
}

#[tokio::test]
async fn loses_hints() {
    let by = [
        "a_peer_that_vanishes_goes_offline",
        "devices_and_keyboards_are_counted",
        "typing_is_told_and_ends",
    ];
    finds_out(Fault::LosesHints, &by).await;
}

#[tokio::test]
async fn loses_news() {
    let by = [
        "an_invited_user_hears_of_it_and_may_join",
        "what_becomes_of_somebody_is_told_elsewhere",
        "a_room_that_ends_is_closed",
    ];
    finds_out(Fault::LosesNews, &by).await;
}

#[tokio::test]
async fn has_place_for_little() {
    finds_out(Fault::HasPlaceForLittle, &["more_is_resumed_than_can_wait"]).await;
}

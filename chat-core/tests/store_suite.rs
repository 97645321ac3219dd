//! The cases that every store must pass: the store in memory passes them, and stores that break one
//! thing each do not.

#![allow(clippy::print_stdout, reason = "tests")]

mod broken_stores;

use broken_stores::{Flaw, Home};
use chat_core::MemoryStore;
use chat_core::testkit::check_store;

#[tokio::test]
async fn the_store_in_memory_passes() {
    let report = check_store(async || MemoryStore::default()).await;
    println!("{report}");
    report.assert_passed();
    assert!(report.skipped().all(|(case, _)| case.contains("refused")), "it refuses nothing");
}

#[tokio::test]
async fn the_wrapper_without_a_flaw_passes_every_case() {
    let report = check_store(async || Home::new(Flaw::None)).await;
    report.assert_passed();
    assert_eq!(report.skipped().count(), 0);
}

/// The store with this flaw is caught, by the case that was made for it among others.
async fn is_caught(flaw: Flaw, by: &str) {
    let report = check_store(async || Home::new(flaw)).await;
    let cases: Vec<_> = report.failures().map(|(case, _)| case).collect();
    println!("{flaw:?} is caught by {}", cases.join(", "));
    assert!(cases.contains(&by), "{by} does not catch a store that {flaw:?}\n{report}");
}

macro_rules! planted {
    ($($test:ident: $flaw:ident by $case:literal,)*) => {
        $(#[tokio::test]
        async fn $test() {
            is_caught(Flaw::$flaw, $case).await;
        })*
    };
}

planted! {
    loses: LosesMessages by "any_number_of_writes_fits",
    doubles: DoublesMessages by "a_key_takes_effect_once",
    swaps: SwapsMessages by "numbers_have_no_gap",
    cuts_long_texts: CutsLongTexts by "the_longest_text_comes_back_whole",
    cuts_texts_at_nul: CutsTextsAtNul by "texts_come_back_byte_for_byte",
    trims_texts: TrimsTexts by "texts_come_back_byte_for_byte",
    trims_titles: TrimsTitles by "titles_and_names_come_back_byte_for_byte",
    composes_texts: ComposesTexts by "texts_come_back_byte_for_byte",
    commits_late: CommitsLate by "what_is_answered_is_there",
    answers_before_committing: AnswersBeforeCommitting by "every_answer_outlives_a_restart",
    merges_emoji_keys: MergesEmojiKeys by "keys_are_compared_byte_for_byte",
    trims_keys: TrimsKeys by "keys_are_compared_byte_for_byte",
    folds_keys: FoldsKeys by "keys_are_compared_byte_for_byte",
    cuts_keys_at_nul: CutsKeysAtNul by "keys_are_compared_byte_for_byte",
    shares_keys: SharesKeys by "a_key_counts_for_one_user_in_one_room",
    takes_keys_too_early: TakesKeysTooEarly by "a_room_that_stands_elsewhere_is_fenced",
    forgets_keys: ForgetsKeys by "keys_outlive_a_restart",
    never_fences: NeverFences by "a_room_that_stands_elsewhere_is_fenced",
    fences_too_early: FencesTooEarly by "of_two_writers_at_once_one_wins",
    commits_batch_by_batch: CommitsBatchByBatch by "a_dropped_commit_leaves_nothing_or_the_whole",
    fails_halfway: FailsHalfway by "a_refused_commit_leaves_nothing",
    makes_many_direct_rooms: MakesManyDirectRooms by "a_pair_has_one_direct_room",
    looks_for_direct_rooms_too_early: LooksForDirectRoomsTooEarly
        by "a_pair_has_one_direct_room_however_many_open_it_at_once",
    keeps_pairs: KeepsPairs by "a_deleted_direct_room_can_be_opened_anew",
    lists_private_rooms: ListsPrivateRooms by "only_open_rooms_are_listed",
    reuses_numbers: ReusesNumbers by "a_deleted_rooms_number_is_not_given_out_again",
    keeps_deleted_messages: KeepsDeletedMessages by "a_deleted_room_is_gone",
    loses_milliseconds: LosesMilliseconds by "times_keep_their_milliseconds",
    drops_invitations: DropsInvitations by "an_invitation_lasts_until_its_guest_joins",
    keeps_invitations: KeepsInvitations by "an_invitation_lasts_until_its_guest_joins",
    loses_roles: LosesRoles by "roles_are_kept",
    keeps_old_owners: KeepsOldOwners by "a_transfer_changes_two_roles",
    keeps_banned_members: KeepsBannedMembers by "a_ban_ends_membership_and_invitation",
    loses_ends: LosesEnds by "restrictions_last_until_they_are_lifted",
    keeps_restrictions: KeepsRestrictions by "restrictions_last_until_they_are_lifted",
    loses_settings: LosesSettings by "settings_are_kept",
    loses_who_did_it: LosesWhoDidIt by "changes_say_who_did_what_until_when",
    forgets_ephemeral_rooms: ForgetsEphemeralRooms by "ephemeral_rooms_are_known",
    pages_too_short: PagesTooShort by "pages_of_messages_end_where_they_should",
    casts_bounds: CastsBounds by "pages_of_messages_end_where_they_should",
    loads_in_two_steps: LoadsInTwoSteps by "a_room_is_loaded_as_it_is_at_one_moment",
    matches_patterns: MatchesPatterns by "titles_are_searched",
    renames_half: RenamesHalf by "a_name_changes_wherever_it_stands",
    takes_names_of_writes: TakesNamesOfWrites by "a_changed_name_is_not_changed_back_by_writes",
    forgets_left_rooms: ForgetsLeftRooms by "the_rooms_of_a_user_are_known",
    keeps_erased_texts: KeepsErasedTexts by "what_is_erased_is_gone_and_its_places_stay",
    erases_everybody: ErasesEverybody by "only_what_is_asked_for_is_erased",
    keeps_texts_alone: KeepsTextsAlone by "everything_that_a_message_says_comes_back",
    forgets_revisions: ForgetsRevisions by "an_edit_changes_what_is_said_and_keeps_what_was",
    edits_the_whole_room: EditsTheWholeRoom by "an_edit_is_of_one_message_of_one_room",
    keeps_deleted_texts: KeepsDeletedTexts by "a_deleted_message_leaves_its_place",
    keeps_revisions_of_deleted: KeepsRevisionsOfDeleted by "a_deleted_message_leaves_its_place",
    revives_deleted_messages: RevivesDeletedMessages by "a_deleted_message_is_not_edited",
    forgets_keys_of_deleted: ForgetsKeysOfDeleted by "a_deleted_message_keeps_its_key",
    drops_keys_of_changes: DropsKeysOfChanges by "a_changes_key_takes_effect_once",
    forgets_keys_alone: ForgetsKeysAlone by "a_key_is_kept_without_a_change",
    folds_marks: FoldsMarks by "marks_are_compared_byte_for_byte",
    keeps_marks: KeepsMarks by "marks_count_once_for_each_user",
    marks_the_first: MarksTheFirst by "marks_are_of_one_message_of_one_room",
    takes_all_marks_for_ones: TakesAllMarksForOnes by "marks_are_of_one_message_of_one_room",
    lists_all_markers_at_once: ListsAllMarkersAtOnce by "whoever_marked_is_listed",
    drops_keys_of_marks: DropsKeysOfMarks by "a_marks_key_is_kept",
    marks_with_used_keys: MarksWithUsedKeys by "a_marks_key_is_kept",
    keeps_marks_of_deleted: KeepsMarksOfDeleted by "a_deleted_message_has_no_marks",
    forgets_positions: ForgetsPositions by "positions_move_forward_only",
    moves_positions_back: MovesPositionsBack by "positions_move_forward_only",
    counts_own_messages: CountsOwnMessages by "what_is_unread_is_counted",
    counts_deleted_messages: CountsDeletedMessages
        by "what_is_deleted_or_edited_counts_as_it_is_now",
    lists_oldest_rooms_first: ListsOldestRoomsFirst
        by "the_rooms_of_a_user_are_listed_by_activity",
    lists_own_rooms_at_once: ListsOwnRoomsAtOnce by "the_rooms_of_a_user_are_listed_by_activity",
    lists_threads_among_rooms: ListsThreadsAmongRooms
        by "a_thread_is_ones_own_as_long_as_its_parents_room_is",
    makes_many_threads: MakesManyThreads by "a_message_has_one_thread",
    looks_for_threads_too_early: LooksForThreadsTooEarly
        by "a_message_has_one_thread_however_many_open_it_at_once",
    counts_deleted_replies: CountsDeletedReplies by "what_a_thread_has_come_to_is_counted",
    forgets_what_threads_tell: ForgetsWhatThreadsTell
        by "what_is_told_of_a_thread_is_shown_with_its_message",
    takes_all_for_told: TakesAllForTold by "a_room_knows_which_threads_have_not_told_everything",
    lists_threads_by_message: ListsThreadsByMessage by "threads_are_listed_by_their_last_reply",
    keeps_threads_of_deleted: KeepsThreadsOfDeleted by "a_deleted_room_takes_its_threads_along",
    opens_twice: OpensTwice by "a_room_is_opened_once_with_a_key",
    hides_used_keys: HidesUsedKeys by "a_changes_key_takes_effect_once",
    forgets_all_keys: ForgetsAllKeys by "keys_are_forgotten_no_earlier_than_asked",
    keeps_erased_revisions: KeepsErasedRevisions
        by "what_is_erased_takes_along_what_it_said_before",
    panics_at_nul: PanicsAtNul by "texts_come_back_byte_for_byte",
}

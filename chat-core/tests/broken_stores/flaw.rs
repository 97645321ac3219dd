//! What may be wrong with a store.

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Nothing.
    None,
    /// Every fifth message is answered and not kept.
    LosesMessages,
    /// A repeated key is answered well, and its message written once more.
    DoublesMessages,
    /// The first two messages of a batch change places.
    SwapsMessages,
    /// Texts are cut to 100 characters.
    CutsLongTexts,
    /// Texts end at the first NUL.
    CutsTextsAtNul,
    /// Spaces at a text's end are gone.
    TrimsTexts,
    /// Spaces at a title's end are gone.
    TrimsTitles,
    /// Combining characters are composed.
    ComposesTexts,
    /// A commit is seen from the next call but one on.
    CommitsLate,
    /// The last commit is lost with the process.
    AnswersBeforeCommitting,
    /// All characters beyond the basic plane are the same in a key.
    MergesEmojiKeys,
    /// Spaces at a key's end do not count.
    TrimsKeys,
    /// Case does not count in a key.
    FoldsKeys,
    /// Keys end at the first NUL.
    CutsKeysAtNul,
    /// A key counts for all users of a room together.
    SharesKeys,
    /// A batch that is not written has its keys taken all the same.
    TakesKeysTooEarly,
    /// Keys are lost with the process.
    ForgetsKeys,
    /// Any batch is written, wherever the room stands.
    NeverFences,
    /// Where the room stands is looked at, and then written.
    FencesTooEarly,
    /// Batches are committed one by one.
    CommitsBatchByBatch,
    /// A commit that fails leaves the batches before the one at fault.
    FailsHalfway,
    /// Every opening of a direct room makes one.
    MakesManyDirectRooms,
    /// Whether there is a direct room is looked at, and then one is made.
    LooksForDirectRoomsTooEarly,
    /// A deleted direct room is found again.
    KeepsPairs,
    /// Private rooms are listed.
    ListsPrivateRooms,
    /// A deleted room's number is given out again.
    ReusesNumbers,
    /// A deleted room's messages can be read.
    KeepsDeletedMessages,
    /// Times are kept to the second.
    LosesMilliseconds,
    /// Nobody is invited.
    DropsInvitations,
    /// Who has joined is invited still.
    KeepsInvitations,
    /// All are members.
    LosesRoles,
    /// Whoever hands a room over stays its owner.
    KeepsOldOwners,
    /// Who is banned stays a member.
    KeepsBannedMembers,
    /// Bans and mutes have no end.
    LosesEnds,
    /// A restriction that was lifted still holds.
    KeepsRestrictions,
    /// Settings are those of a new room.
    LosesSettings,
    /// Nobody has done anything to others.
    LosesWhoDidIt,
    /// No ephemeral room is known.
    ForgetsEphemeralRooms,
    /// The last message of a range is left out.
    PagesTooShort,
    /// Bounds are cast to signed integers.
    CastsBounds,
    /// A room's members are of another moment than its messages.
    LoadsInTwoSteps,
    /// `%` and `_` stand for anything in a title.
    MatchesPatterns,
    /// Who has been renamed is called so in what has been written by then.
    RenamesHalf,
    /// A name that comes along with a write counts, whoever has been renamed.
    TakesNamesOfWrites,
    /// Only the rooms that a user is a member of are known.
    ForgetsLeftRooms,
    /// What is erased stays.
    KeepsErasedTexts,
    /// What others have written goes too.
    ErasesEverybody,
    /// Of a message its text is kept, and nothing else that it says.
    KeepsTextsAlone,
    /// What a message said before an edit is lost.
    ForgetsRevisions,
    /// An edit of one message of a room is one of all its messages.
    EditsTheWholeRoom,
    /// What is deleted stays.
    KeepsDeletedTexts,
    /// What a deleted message said before it was edited stays.
    KeepsRevisionsOfDeleted,
    /// An edit brings a deleted message back.
    RevivesDeletedMessages,
    /// A deleted message's key may be used again.
    ForgetsKeysOfDeleted,
    /// A change's key is not kept.
    DropsKeysOfChanges,
    /// The key of what changes nothing is not kept.
    ForgetsKeysAlone,
    /// Case does not count in a mark.
    FoldsMarks,
    /// A mark that is taken back stays.
    KeepsMarks,
    /// Whatever is marked, it is the first message.
    MarksTheFirst,
    /// What others have marked is everybody's own.
    TakesAllMarksForOnes,
    /// Every page of those who have marked a message begins with the first.
    ListsAllMarkersAtOnce,
    /// A mark's key is not kept.
    DropsKeysOfMarks,
    /// A mark whose key was used is given all the same.
    MarksWithUsedKeys,
    /// The marks of a deleted message stay.
    KeepsMarksOfDeleted,
    /// What members have read is not kept.
    ForgetsPositions,
    /// How far a member has read is what was written last.
    MovesPositionsBack,
    /// What one has written oneself counts as unread.
    CountsOwnMessages,
    /// What has been deleted counts as unread.
    CountsDeletedMessages,
    /// A user's rooms are listed, the earliest activity first.
    ListsOldestRoomsFirst,
    /// Every page of a user's rooms begins with the first.
    ListsOwnRoomsAtOnce,
    /// Threads are among a user's rooms, whatever is asked for.
    ListsThreadsAmongRooms,
    /// A room that is opened again with its key is another room.
    OpensTwice,
    /// Nobody is told what a key was used for.
    HidesUsedKeys,
    /// Keys are forgotten that are to be kept still.
    ForgetsAllKeys,
    /// What an erased message said before it was edited stays.
    KeepsErasedRevisions,
    /// Every opening of a thread makes one.
    MakesManyThreads,
    /// Whether there is a thread is looked at, and then one is made.
    LooksForThreadsTooEarly,
    /// What is deleted counts as a reply.
    CountsDeletedReplies,
    /// What a room is told of its threads is not kept.
    ForgetsWhatThreadsTell,
    /// All threads are taken to have told everything.
    TakesAllForTold,
    /// Threads are listed in the order of their messages.
    ListsThreadsByMessage,
    /// The threads of a deleted room stay.
    KeepsThreadsOfDeleted,
    /// A NUL in a text is a panic.
    PanicsAtNul,
}

//! What is explored: which things can happen, and which rule is broken.

/// A rule that is broken. The steps of the ledger stay the real ones; what is broken is how they are
/// put together, or what is left of the slots after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    // R1
    NumbersRepeatAfterACrash,
    // R2
    TwoSlotsForOneResource,
    // R3
    TagCapturedWhenTheAnswerArrives,
    StampedWithTheNumberToCome,
    // R4
    TagWithoutContent,
    TagOnAWeak304,
    TagToAnOverlappedWriter,
    // R5
    WritesDoNotOccupy,
    JudgedAndOccupiedInTwoSteps,
    WaiterNotJudgedAgain,
    UnconditionalWritesDoNotOccupy,
    SharedHoldersDoNotExclude,
    AlsoChangedNotOccupied,
    MembersDoNotExcludeAWriteToAll,
    // R6
    ReleasedWhenTheClientLeaves,
    SentAgainAfterALoss,
    // R7
    AcceptedOnlyTakenAsApplied,
    VersionKeptOnAnError,
    VersionKeptOnUnknown,
    VersionOfTheWholeNotJudged,
    // R8
    FreshNumberAtTheStartAndFreed,
    FreshNumberAtTheStartAndHeld,
    // R9
    FloorNotRaised,
    FloorAssigned,
    OccupiedEntriesForgotten,
    // R10
    NoHoldAfterACrash,
    FloorDrawnAtTheStartOfTheHold,
    HoldWithoutTheReadLag,
    // R11
    ServesOnAfterSaving,
    FileKeptAfterItWasLoaded,
    HeldRestoredAsIdle,
    LagNotSaved,
    // R12
    SuccessorJudgesBesideTheOldOne,
    SuccessorJudgesWhileTheOldOneHolds,
    // R13
    LaggingReadsStampedAsCurrent,
    // R14
    NewNameJudgedAtOnce,
    UnknownWritesNotWaitedFor,
    TagsOfBeforeTheOpeningStayGood,
    NameComesBackWithItsVersions,
    NamesOpenWithoutTheReadLag,
    // What no proxy can prevent.
    WriterThatBypasses,
    AppliedAfterSettle,
    RefusedThoughApplied,
    LagsLongerThanTold,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocol {
    pub(super) broken: Broken,
    pub(super) clients: usize,
    pub(super) keys: usize,
    /// Writes under way at a time.
    pub(super) writes: usize,
    /// Writes that state no precondition, and are let through beside each other.
    pub(super) unconditional: bool,
    /// Writes that wait for their turn.
    pub(super) waiting: bool,
    /// Answers get lost.
    pub(super) unknown: bool,
    /// Clients leave.
    pub(super) leaving: bool,
    /// Entries at rest are forgotten.
    pub(super) forgetting: bool,
    /// Changes that come with a write to another resource.
    pub(super) touching: bool,
    /// Writes that change both keys.
    pub(super) also: bool,
    /// Writes that change everything, and every write a member of the whole.
    pub(super) whole: bool,
    /// The process is killed, and the next one starts without a state.
    pub(super) crashes: bool,
    /// The process saves its state and ends, and the next one goes on from it.
    pub(super) stops: bool,
    /// The next process starts while the old one is still there.
    pub(super) handover: bool,
    /// The origin's reads lag behind its writes.
    pub(super) lag: bool,
    /// Another configuration gives the resource another name.
    pub(super) renaming: bool,
    /// Reads may be stamped with any number that was published, not with the current one only.
    pub(super) older_stamps: bool,
}

impl Protocol {
    pub(super) const BASE: Protocol = Protocol {
        broken: Broken::Nothing,
        clients: 2,
        keys: 1,
        writes: 2,
        unconditional: false,
        waiting: false,
        unknown: false,
        leaving: false,
        forgetting: false,
        touching: false,
        also: false,
        whole: false,
        crashes: false,
        stops: false,
        handover: false,
        lag: false,
        renaming: false,
        older_stamps: false,
    };

    pub(super) fn is_broken(self, broken: Broken) -> bool {
        self.broken == broken
    }

    /// Numbers can be drawn that somebody has a tag of. Then no tag may be dropped, and no number be
    /// renamed.
    pub(super) fn numbers_repeat(self) -> bool {
        [
            Broken::NumbersRepeatAfterACrash,
            Broken::StampedWithTheNumberToCome,
            Broken::ServesOnAfterSaving,
            Broken::FileKeptAfterItWasLoaded,
        ]
        .contains(&self.broken)
    }
}

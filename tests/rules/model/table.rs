//! Which rules are broken and how, and what is searched with the rules as they are.

use super::protocol::{Broken, Protocol};

/// A rule, taken out.
pub(super) struct Mutation {
    pub(super) rule: &'static str,
    /// What is done instead.
    pub(super) instead: &'static str,
    pub(super) protocol: Protocol,
}

/// Something that is searched whole.
pub(super) struct Configuration {
    pub(super) name: &'static str,
    pub(super) size: Size,
    pub(super) protocol: Protocol,
}

/// When it is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Always.
    Small,
    /// Where it is asked for.
    Large,
}

const BASE: Protocol = Protocol::BASE;
const THREE: Protocol = Protocol { clients: 3, writes: 3, ..BASE };
const BLIND: Protocol = Protocol { unconditional: true, ..BASE };
const UNKNOWN: Protocol = Protocol { unknown: true, ..THREE };
const FORGETTING: Protocol = Protocol { keys: 2, forgetting: true, ..BASE };
const ALSO: Protocol = Protocol { keys: 2, also: true, ..BASE };
const WHOLE: Protocol = Protocol { keys: 2, whole: true, ..BASE };
const CRASHES: Protocol = Protocol { crashes: true, ..BASE };
const STOPS: Protocol = Protocol { stops: true, ..BASE };
const BOTH_ENDS: Protocol = Protocol { stops: true, crashes: true, ..BASE };
const HANDOVER: Protocol = Protocol { handover: true, ..BASE };
const RENAMING: Protocol = Protocol { renaming: true, ..BASE };
const LAG: Protocol = Protocol { lag: true, ..BASE };

const fn broken(rule: &'static str, broken: Broken, protocol: Protocol, instead: &'static str) -> Mutation {
    Mutation { rule, instead, protocol: Protocol { broken, ..protocol } }
}

/// Each loses an update.
#[rustfmt::skip]
pub(super) const MUTATIONS: &[Mutation] = &[
    broken("R1", Broken::NumbersRepeatAfterACrash, CRASHES, "after a crash the same numbers are given again, under the same name"),
    broken("R2", Broken::TwoSlotsForOneResource, Protocol { keys: 2, ..BASE }, "the order and the list are one resource at the origin, with a slot each"),
    broken("R3", Broken::TagCapturedWhenTheAnswerArrives, BASE, "a read is stamped when its answer arrives"),
    broken("R3", Broken::StampedWithTheNumberToCome, BASE, "a read beside a write is stamped with the number that the write will end with"),
    broken("R4", Broken::TagWithoutContent, BASE, "a refusal carries the current tag"),
    broken("R4", Broken::TagOnAWeak304, BASE, "a 304 that the origin gave for a date carries the current tag"),
    broken("R4", Broken::TagToAnOverlappedWriter, BLIND, "a write that others overlapped is told the current tag"),
    broken("R5", Broken::WritesDoNotOccupy, BASE, "a write is judged and occupies nothing"),
    broken("R5", Broken::JudgedAndOccupiedInTwoSteps, BASE, "a write is judged in one step and occupies in another"),
    broken("R5", Broken::WaiterNotJudgedAgain, Protocol { waiting: true, ..BASE }, "a write that waited for its turn is not judged again"),
    broken("R5", Broken::UnconditionalWritesDoNotOccupy, BLIND, "a write without a precondition occupies nothing"),
    broken("R5", Broken::SharedHoldersDoNotExclude, BLIND, "a write with a tag is let through beside one without"),
    broken("R5", Broken::AlsoChangedNotOccupied, ALSO, "what a write also changes is not occupied, only given a fresh number at its end"),
    broken("R5", Broken::MembersDoNotExcludeAWriteToAll, WHOLE, "a write that changes everything is let through beside others"),
    broken("R6", Broken::ReleasedWhenTheClientLeaves, Protocol { leaving: true, ..THREE }, "the hold ends when the client leaves"),
    broken("R6", Broken::SentAgainAfterALoss, UNKNOWN, "a write is sent again after a lost connection"),
    broken("R7", Broken::AcceptedOnlyTakenAsApplied, THREE, "202 is taken for an answer that says that the write was applied"),
    broken("R7", Broken::VersionKeptOnAnError, BASE, "an answer that proves nothing (500) keeps the version"),
    broken("R7", Broken::VersionKeptOnUnknown, UNKNOWN, "an unknown outcome keeps the version"),
    broken("R7", Broken::VersionOfTheWholeNotJudged, WHOLE, "a write to everything gives a fresh number to the whole, which nobody looks at"),
    broken("R8", Broken::FreshNumberAtTheStartAndFreed, UNKNOWN, "an unknown outcome frees the resource at once, with a fresh number"),
    broken("R8", Broken::FreshNumberAtTheStartAndHeld, UNKNOWN, "the fresh number is drawn at the start of the settle time"),
    broken("R9", Broken::FloorNotRaised, FORGETTING, "the floor stays where it was when an entry is forgotten"),
    broken("R9", Broken::FloorAssigned, FORGETTING, "the floor becomes the forgotten version, also where that is the smaller one"),
    broken("R9", Broken::OccupiedEntriesForgotten, FORGETTING, "an occupied entry is forgotten"),
    broken("R10", Broken::NoHoldAfterACrash, CRASHES, "writes are judged at once after a crash"),
    broken("R10", Broken::FloorDrawnAtTheStartOfTheHold, CRASHES, "the floor is drawn at the start of the hold only"),
    broken("R10", Broken::HoldWithoutTheReadLag, Protocol { lag: true, ..CRASHES }, "the hold is as long as writes may still be applied, not as long as reads may lag behind them"),
    broken("R11", Broken::ServesOnAfterSaving, BOTH_ENDS, "a process judges writes after it has saved its state"),
    broken("R11", Broken::FileKeptAfterItWasLoaded, BOTH_ENDS, "the state file stays when a process goes on from it"),
    broken("R11", Broken::HeldRestoredAsIdle, STOPS, "what was occupied comes back as free"),
    broken("R11", Broken::LagNotSaved, Protocol { lag: true, ..STOPS }, "what lags is not saved"),
    broken("R12", Broken::SuccessorJudgesBesideTheOldOne, HANDOVER, "the next process judges writes while the old one does"),
    broken("R12", Broken::SuccessorJudgesWhileTheOldOneHolds, HANDOVER, "the next process judges writes while the old one judges none any more, but still holds"),
    broken("R12", Broken::FloorDrawnAtTheStartOfTheHold, HANDOVER, "the next process draws its floor when it starts"),
    broken("R13", Broken::LaggingReadsStampedAsCurrent, LAG, "reads that may lag are stamped with the current number"),
    broken("R14", Broken::NewNameJudgedAtOnce, RENAMING, "writes under a new name are judged at once"),
    broken("R14", Broken::UnknownWritesNotWaitedFor, Protocol { unknown: true, ..RENAMING }, "writes under a new name are judged before those of unknown outcome under the old one are settled"),
    broken("R14", Broken::TagsOfBeforeTheOpeningStayGood, RENAMING, "what was read under a new name before writes under it are judged stays good"),
    broken("R14", Broken::NameComesBackWithItsVersions, RENAMING, "a name that comes back has the versions that it had"),
    broken("R14", Broken::NamesOpenWithoutTheReadLag, Protocol { lag: true, ..RENAMING }, "writes under a new name are judged while reads may still lag behind those under the old one"),
];

/// What no rule of a proxy can prevent: the same search, with the rules intact and the world worse than
/// they assume.
#[rustfmt::skip]
pub(super) const ASSUMPTIONS: &[Mutation] = &[
    broken("bypass", Broken::WriterThatBypasses, BASE, "somebody writes past ifmatch"),
    broken("settle", Broken::AppliedAfterSettle, UNKNOWN, "the origin applies a write later than `settle`"),
    broken("refusal", Broken::RefusedThoughApplied, BASE, "the origin answers \"not applied\" to what it applied"),
    broken("lag", Broken::LagsLongerThanTold, LAG, "the origin's reads lag for longer than `read_lag`"),
];

const fn small(name: &'static str, protocol: Protocol) -> Configuration {
    Configuration { name, size: Size::Small, protocol }
}

const fn large(name: &'static str, protocol: Protocol) -> Configuration {
    Configuration { name, size: Size::Large, protocol }
}

pub(super) const ALL: &[&[Configuration]] =
    &[ONE_RESOURCE, TWO_RESOURCES, SEVERAL_AT_ONCE, RESTARTS, LAGS, NAMES];

const ALL_ON_ONE: Protocol = Protocol {
    unconditional: true,
    waiting: true,
    unknown: true,
    leaving: true,
    forgetting: true,
    touching: true,
    ..BASE
};
const STAMPS: Protocol = Protocol { waiting: false, older_stamps: true, ..ALL_ON_ONE };

#[rustfmt::skip]
pub(super) const ONE_RESOURCE: &[Configuration] = &[
    small("one resource, three clients", THREE),
    small("one resource, all that can happen to writes", ALL_ON_ONE),
    small("one resource, stamps of any age", STAMPS),
    large("one resource, three clients, unknown outcomes, waiting", Protocol { unconditional: true, waiting: true, ..UNKNOWN }),
    large("one resource, three clients, all that can happen to writes", Protocol { clients: 3, ..ALL_ON_ONE }),
    large("one resource, three clients, three writes, unknown outcomes, clients that leave", Protocol { unconditional: true, leaving: true, ..UNKNOWN }),
];

const BLIND_AND_UNKNOWN: Protocol = Protocol { unknown: true, unconditional: true, ..FORGETTING };

#[rustfmt::skip]
pub(super) const TWO_RESOURCES: &[Configuration] = &[
    small("two resources, forgetting", FORGETTING),
    small("two resources, forgetting, unknown outcomes", Protocol { unknown: true, ..FORGETTING }),
    small("two resources, forgetting, blind writes", Protocol { unconditional: true, ..FORGETTING }),
    small("two resources, forgetting, touches", Protocol { touching: true, ..FORGETTING }),
    large("two resources, forgetting, blind writes, unknown outcomes", BLIND_AND_UNKNOWN),
    large("two resources, forgetting, three clients", Protocol { clients: 3, ..FORGETTING }),
];

#[rustfmt::skip]
pub(super) const SEVERAL_AT_ONCE: &[Configuration] = &[
    small("a write to both, blind writes", Protocol { unconditional: true, ..ALSO }),
    small("a write to both, forgetting", Protocol { forgetting: true, ..ALSO }),
    small("a write to everything, blind writes", Protocol { unconditional: true, ..WHOLE }),
    small("a write to everything, forgetting", Protocol { forgetting: true, ..WHOLE }),
    large("a write to both, forgetting, unknown outcomes", Protocol { unknown: true, forgetting: true, ..ALSO }),
    large("a write to everything, forgetting, unknown outcomes", Protocol { unknown: true, forgetting: true, ..WHOLE }),
    large("a write to everything, three clients", Protocol { clients: 3, ..WHOLE }),
];

const RESTARTS_ALL: Protocol =
    Protocol { unknown: true, unconditional: true, waiting: true, forgetting: true, ..BOTH_ENDS };
const STOPS_OF_TWO: Protocol = Protocol { keys: 2, forgetting: true, ..STOPS };
const HANDOVER_ALL: Protocol = Protocol { crashes: true, unknown: true, unconditional: true, ..HANDOVER };

#[rustfmt::skip]
pub(super) const RESTARTS: &[Configuration] = &[
    small("crashes, unknown outcomes, blind writes", Protocol { unknown: true, unconditional: true, ..CRASHES }),
    small("restarts with the file, unknown outcomes, blind writes", Protocol { unknown: true, unconditional: true, ..STOPS }),
    small("crashes and restarts, all that can happen to writes", RESTARTS_ALL),
    small("crashes and restarts, three clients", Protocol { clients: 3, ..BOTH_ENDS }),
    small("restarts with the file, two resources, forgetting", STOPS_OF_TWO),
    small("crashes and restarts, a write to both", Protocol { also: true, keys: 2, ..BOTH_ENDS }),
    small("restarts with the file, one resource and a write to everything", Protocol { whole: true, unknown: true, ..STOPS }),
    small("one process after the other, crashes, unknown outcomes", Protocol { crashes: true, unknown: true, ..HANDOVER }),
    large("crashes and restarts, three clients, all that can happen to writes", Protocol { clients: 3, ..RESTARTS_ALL }),
    large("crashes and restarts, two resources, unknown outcomes, forgetting", Protocol { crashes: true, unknown: true, ..STOPS_OF_TWO }),
    large("crashes and restarts, a write to everything", Protocol { whole: true, keys: 2, ..BOTH_ENDS }),
    large("one process after the other, crashes, unknown outcomes, blind writes", HANDOVER_ALL),
];

#[rustfmt::skip]
pub(super) const LAGS: &[Configuration] = &[
    small("reads that lag, unknown outcomes, forgetting", Protocol { unknown: true, forgetting: true, ..LAG }),
    small("reads that lag, crashes and restarts, unknown outcomes", Protocol { lag: true, unknown: true, ..BOTH_ENDS }),
    small("reads that lag, two resources", Protocol { keys: 2, ..LAG }),
    small("reads that lag, one resource and a write to everything", Protocol { whole: true, unknown: true, ..LAG }),
    large("reads that lag, two resources, unknown outcomes, forgetting", Protocol { lag: true, unknown: true, ..FORGETTING }),
    large("reads that lag, a write to everything", Protocol { keys: 2, whole: true, ..LAG }),
    large("reads that lag, crashes and restarts, all that can happen to writes", Protocol { lag: true, ..RESTARTS_ALL }),
];

const RENAMING_ALL: Protocol =
    Protocol { unknown: true, unconditional: true, waiting: true, forgetting: true, ..RENAMING };

#[rustfmt::skip]
pub(super) const NAMES: &[Configuration] = &[
    small("names that change, all that can happen to writes", RENAMING_ALL),
    small("names that change, crashes and restarts", Protocol { crashes: true, stops: true, unknown: true, ..RENAMING }),
    small("names that change, reads that lag", Protocol { lag: true, unknown: true, ..RENAMING }),
    large("names that change, three clients, crashes and restarts, all that can happen to writes", Protocol { clients: 3, crashes: true, stops: true, ..RENAMING_ALL }),
    large("names that change, reads that lag, crashes and restarts, blind writes", Protocol { lag: true, unknown: true, unconditional: true, crashes: true, stops: true, ..RENAMING }),
];

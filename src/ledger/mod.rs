//! Where versions are kept.
//!
//! [`protocol`] holds the rules, pure; [`memory`] keeps the slots in this process's memory, behind
//! locks that are never held across a wait; [`permit`] is the right to forward one write; [`snapshot`],
//! pure too, is what a process leaves to the next one; [`views`] is what clients last read, where a route
//! infers that.
//!
//! The steps that a shared store would have to wait for are `async` already.
//!
//! # The rules
//!
//! The promise, that a write which is let through replaces exactly the state its author saw, rests on
//! these. The names are used in code, tests and messages to each other; `tests/rules/model.rs` searches
//! every interleaving of the steps below for a lost update, finds none, and finds one as soon as a rule
//! is taken out: [`traces`] has the shortest run for each.
//!
//! Two things are true of every state. **INV1**: a resource's version never goes back, and a write that
//! may have changed the origin ends with a number that was never used before. **INV2**: whoever holds the
//! current version of a resource that no write occupies holds the origin's current content.
//!
//! | rule | |
//! |---|---|
//! | R1 numbers | one sequence that only grows, under a random name for one life of the ledger; never a clock |
//! | R2 one resource, one slot | every spelling and path of a resource has one slot; several resources in one slot cost a spurious refusal at worst |
//! | R3 read stamp | the number put on a read was published before the read was forwarded; any older one is safe, a later one never. Reads insert nothing |
//! | R4 tag with content | a tag goes out only with the content it describes: a full answer to a read, a part cut from a resource at rest, the answer to a settled write that nobody else's overlapped |
//! | R5 begin | a write is judged and occupies its resources in one step, all of them or none, with or without a precondition; who waited is judged again |
//! | R6 hold | ends with the origin's final answer, with the certainty that no byte left, or after the settle time; not when the client leaves. What may have left is never sent again |
//! | R7 end | one step draws a fresh number, publishes it and frees the resource; then the client is answered. Only an answer that proves the write was not applied keeps the version |
//! | R8 unknown | the hold goes on for the settle time, and for a look at the origin after it where the route asks for one; reads go on with the old number, and the fresh one is drawn at the end |
//! | R9 forgetting | entries at rest may go in any order; what has no entry is at the floor, which becomes the larger of itself and the forgotten version. Occupied entries stay; a table full of them takes no write |
//! | R10 start | without the state of an earlier life writes wait out the settle time, and for as much longer as reads may lag behind what is applied in it; the floor is drawn at the end |
//! | R11 state file | the last act of a process that judges no more writes, gone for good before the next one accepts any; what was occupied comes back as unsettled |
//! | R12 one at a time | two processes with a ledger in memory each never judge writes at once |
//! | R13 lag | where the origin's reads may lag behind its writes, reads get an older number for as long |
//! | R14 names | what another configuration names or treats in another way is another resource: writes to it wait until those of before have ended, and what was read until then is stale |
//!
//! Beyond them, three modes of occupying ([`HoldMode`](crate::decide::claim::HoldMode)) keep writes apart
//! only where a promise is at stake: a write whose author saw a state is alone on its resource; writes
//! whose authors claim nothing (a POST to a collection) may overlap, with each other only, and none of them
//! is then told a tag; every write takes part in its upstream as a whole, which a write that changes
//! everything takes for itself.

pub mod begin;
pub mod first_answers;
pub mod keyed_hash;
pub mod memory;
pub mod names;
pub mod permit;
pub mod protocol;
pub mod snapshot;
#[doc = include_str!("traces.md")]
pub mod traces {}
#[doc = include_str!("view_traces.md")]
pub mod view_traces {}
pub mod views;
pub mod waiting;

//! From what is known of a request to what becomes of it. Pure: the ledger's answer, the origin's
//! answers and the time come in as arguments.

pub mod aim;
pub mod already_applied;
pub mod claim;
pub mod cors;
pub mod idempotency;
pub mod naming;
pub mod outcome;
pub mod policy;
pub mod read;
pub mod say;
pub mod took_effect;
pub mod verdict;

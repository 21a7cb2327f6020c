//! From what is known of a request to what becomes of it. Pure: the ledger's answer, the origin's
//! answers and the time come in as arguments.

pub mod aim;
pub mod already_applied;
pub mod claim;
pub mod cors;
pub mod create;
pub mod digest;
pub mod idempotency;
pub mod naming;
pub mod outcome;
pub mod policy;
pub mod precondition_from;
pub mod read;
pub mod say;
pub mod shown_read;
pub mod took_effect;
pub mod transitions;
pub mod translate;
pub mod unique;
pub mod validator;
pub mod verdict;
pub mod views;

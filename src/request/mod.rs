//! What a decision may look at: the method, the preconditions and the tags of a request, parsed once
//! at the edge into types that cannot be wrong. Pure: no clock, no I/O, no pingora.

pub mod entity_tag;
pub mod hidden_method;
pub mod json;
pub mod method;
pub mod preconditions;
pub mod version_tag;

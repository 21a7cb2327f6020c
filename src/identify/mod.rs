//! Which route a request takes and which resource it names. Pure.
//!
//! The rule of this stage is R2: every spelling and path that reads or changes a resource maps to one
//! slot. Two resources in one slot cost a spurious refusal at worst, two slots for one resource lose
//! updates; so names are folded generously, and the origin is sent the path as the client spelled it.

pub mod by_text;
pub mod content;
pub mod fold;
pub mod look;
pub mod name_range;
pub mod other_readings;
pub mod plain_path;
pub mod query;
pub mod resource_id;
pub mod route_table;
pub mod target_path;

//! The configuration: one TOML file, read into values that cannot be wrong.

pub mod checked;

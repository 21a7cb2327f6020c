//! The rules that need no network: configurations, and whatever else is pure.

mod bad_config;

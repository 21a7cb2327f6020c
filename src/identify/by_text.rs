//! Maps by texts of the configuration.

use fnv::FnvHashMap;

/// A map whose keys come from the configuration, and that every request looks into.
///
/// Nobody who sends requests adds to it. So its hash needs no secret key, which takes three times as long for texts
/// as short as these.
pub type ByText<V> = FnvHashMap<String, V>;

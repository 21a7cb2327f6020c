//! What must hold whatever the shell around it does: truth table, properties, operation sequences
//! against a naive model, an exhaustive search, and who may import whom.

mod regressions;

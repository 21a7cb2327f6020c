//! What the system says of this process's memory (Linux).

use std::fs;

use crate::Outcome;

/// Bytes in memory now.
pub(crate) fn resident() -> Outcome<u64> {
    status("VmRSS:")
}

/// The most bytes that were in memory at a time.
pub(crate) fn peak() -> Outcome<u64> {
    status("VmHWM:")
}

fn status(field: &str) -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/status")?;
    let value = text.lines().find_map(|line| line.strip_prefix(field));
    let number = value.and_then(|value| value.split_whitespace().next());
    let kibibytes: u64 = number.ok_or_else(|| format!("no {field} in /proc/self/status"))?.parse()?;
    Ok(kibibytes * 1024)
}

//! The nearest known name to one that is not known.

/// What of `known` was probably meant by `name`; `None` where nothing is near.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest_with_similarity(name, known).map(|(_, name)| name)
}

/// The same, and how near it is: 1.0 is the same name.
pub(super) fn nearest_with_similarity<'k>(
    name: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<(f64, &'k str)> {
    /// Under this similarity a proposal is a guess that leads astray.
    const NEAR: f64 = 0.75;
    let lower = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_none() {
        let known = ["listen", "admin", "workers", "shutdown_delay"];
        assert_eq!(nearest("lisen", known), Some("listen"));
        assert_eq!(nearest("shutdown-delay", known), Some("shutdown_delay"));
        assert_eq!(nearest("WORKER", known), Some("workers"));
        assert_eq!(nearest("xyz", known), None);
    }
}

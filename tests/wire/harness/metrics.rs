//! The metrics as a scrape tells them, and what is said of them.

use std::collections::BTreeMap;
use std::fmt;

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<String> = self.labels.iter().map(|(k, v)| format!("{k}=\"{v}\"")).collect();
        write!(f, "{}{{{}}} {}", self.name, labels.join(","), self.value)
    }
}

/// A scrape.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Every series.
    pub series: Vec<Series>,
    /// The names of the metrics (`# TYPE` lines).
    pub names: Vec<String>,
}

impl Metrics {
    /// Reads the exposition format.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let names =
            text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned);
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse_line);
        Metrics { names: names.collect(), series: series.collect() }
    }

    /// The sum of all series with this name and at least these labels; `None` if there are none.
    ///
    /// `wanted` is written as in a query: `ifmatch_conflicts_total{route="item"}`.
    #[track_caller]
    pub fn value(&self, wanted: &str) -> Option<f64> {
        let found: Vec<f64> = self.matching(wanted).map(|series| series.value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    fn matching(&self, wanted: &str) -> impl Iterator<Item = &Series> {
        let wanted = parse_line(&format!("{wanted} 0"));
        self.series.iter().filter(move |series| {
            series.name == wanted.name
                && wanted.labels.iter().all(|(name, value)| series.labels.get(name) == Some(value))
        })
    }

    /// Fails unless the series has this value; a series that is not there is 0. Tells the nearest misses.
    #[track_caller]
    pub fn expect(&self, wanted: &str, value: impl Into<f64>) -> &Self {
        let value = value.into();
        let found = self.value(wanted).unwrap_or(0.0);
        assert!(
            (found - value).abs() < f64::EPSILON,
            "{wanted} is {found}, expected {value}\n{}",
            self.near(wanted)
        );
        self
    }

    /// The series that come nearest to what was asked for.
    pub fn near(&self, wanted: &str) -> String {
        let asked = parse_line(&format!("{wanted} 0"));
        let mut near: Vec<(usize, &Series)> = self
            .series
            .iter()
            .filter(|s| s.name == asked.name)
            .map(|s| (asked.labels.iter().filter(|(k, v)| s.labels.get(*k) == Some(v)).count(), s))
            .collect();
        near.sort_by_key(|(same, _)| std::cmp::Reverse(*same));
        if !near.is_empty() {
            let lines: Vec<String> = near.iter().take(12).map(|(_, series)| format!("  {series}")).collect();
            return format!("the nearest series are\n{}", lines.join("\n"));
        }
        let nearest = self.names.iter().max_by(|a, b| {
            strsim::jaro_winkler(a, &asked.name).total_cmp(&strsim::jaro_winkler(b, &asked.name))
        });
        format!("no metric {}; the nearest name is {nearest:?}", asked.name)
    }
}

#[track_caller]
fn parse_line(line: &str) -> Series {
    let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
    let (name, labels) = match key.split_once('{') {
        None => (key, ""),
        Some((name, labels)) => (name, labels.trim_end_matches('}')),
    };
    let mut found = BTreeMap::new();
    let mut rest = labels;
    while let Some((label, after)) = rest.split_once("=\"") {
        let (value, after) =
            after.split_once('"').unwrap_or_else(|| panic!("{line:?} has a label without its end"));
        found.insert(label.trim_start_matches(',').trim().to_owned(), value.to_owned());
        rest = after;
    }
    let value = value.parse().unwrap_or_else(|_| panic!("{line:?} has no value"));
    Series { name: name.to_owned(), labels: found, value }
}

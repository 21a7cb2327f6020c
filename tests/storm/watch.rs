//! What one life of the proxy holds: its memory and its descriptors, looked at once a second.

use std::fs;
use std::io;

/// One look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub resident_kib: u64,
    pub descriptors: u64,
}

/// What may be added from the second quarter of a storm to its last one. A leak of one descriptor or one
/// small allocation in a thousand requests is more than this after ten minutes.
const MORE_DESCRIPTORS: u64 = 16;
const MORE_KIB: u64 = 2 * 1024;

#[derive(Default)]
pub struct Watch(Vec<Sample>);

/// The most that was held in the second and in the last quarter.
#[derive(Clone, Copy, Debug)]
pub struct Trend {
    pub seconds: usize,
    pub second_quarter: Sample,
    pub last_quarter: Sample,
}

impl Watch {
    /// Looks at a process.
    pub fn look(&mut self, pid: u32) -> io::Result<()> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|text| text.split_whitespace().next()?.parse().ok());
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
        self.0.push(Sample {
            resident_kib: resident.ok_or_else(|| io::Error::other("no VmRSS"))?,
            descriptors: u64::try_from(descriptors).unwrap_or(u64::MAX),
        });
        Ok(())
    }

    /// `None` if there is too little to compare.
    pub fn trend(&self) -> Option<Trend> {
        let quarter = self.0.len() / 4;
        let most = |samples: &[Sample]| Sample {
            resident_kib: samples.iter().map(|sample| sample.resident_kib).max().unwrap_or(0),
            descriptors: samples.iter().map(|sample| sample.descriptors).max().unwrap_or(0),
        };
        Some(Trend {
            seconds: self.0.len(),
            second_quarter: most(self.0.get(quarter..2 * quarter).filter(|samples| samples.len() >= 5)?),
            last_quarter: most(self.0.get(self.0.len() - quarter..)?),
        })
    }
}

impl Trend {
    pub fn is_flat(&self) -> bool {
        let Trend { second_quarter: before, last_quarter: after, .. } = self;
        after.resident_kib <= before.resident_kib + before.resident_kib / 10 + MORE_KIB
            && after.descriptors <= before.descriptors + MORE_DESCRIPTORS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(of: impl Fn(u64) -> Sample) -> Trend {
        Watch((0..100).map(of).collect()).trend().unwrap()
    }

    #[test]
    fn what_grows_is_not_flat_and_what_swings_is() {
        let swings = trend(|n| Sample { resident_kib: 20_000 + n % 7 * 300, descriptors: 40 + n % 5 });
        assert!(swings.is_flat(), "{swings:?}");
        let leaks = trend(|n| Sample { resident_kib: 20_000, descriptors: 40 + n });
        assert!(!leaks.is_flat(), "{leaks:?}");
        let grows = trend(|n| Sample { resident_kib: 20_000 + n * 100, descriptors: 40 });
        assert!(!grows.is_flat(), "{grows:?}");
    }
}

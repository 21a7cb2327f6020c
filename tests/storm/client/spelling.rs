//! The many spellings of one path, all of which the origin takes for the same resource.

use rand::Rng;
use rand::rngs::StdRng;

use crate::record::LIST;

/// A resource as the storm knows it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The first segment, which chooses the route.
    pub family: &'static str,
    pub number: u32,
    /// Whether its route lets a PUT without a precondition through.
    pub open: bool,
}

impl Resource {
    /// Resource `index` of a storm: half of them strictly guarded, the others with the route's other ways.
    pub fn nth(index: u32) -> Self {
        let (family, open) = match index % 8 {
            _ if index + 1 == LIST.1 => (LIST.0, false),
            4 => ("members", false),
            1 | 7 => ("waits", false),
            3 => ("overlaps", true),
            5 => ("allows", true),
            _ => ("items", false),
        };
        Resource { family, number: index + 1, open }
    }

    /// One beside those, whose name no reload changes.
    pub fn quiet(index: u32) -> Self {
        Resource { family: "waits", number: index + 1, open: false }
    }

    /// The origin's name for it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.family, self.number)
    }

    /// A path for it, usually the plain one.
    pub fn spell(&self, chance: &mut StdRng) -> String {
        let Resource { family, number, .. } = self;
        match chance.random_range(0..30) {
            0 => format!("/{}/{number}", family.to_uppercase()),
            1 => format!("//{family}//{number}"),
            2 => format!("/{family}/{number}/"),
            3 => format!("/{family}/00{number}"),
            4 => format!("/{}/{number}", escape_first(family)),
            5 => format!("/{family}/{}", escape_first(&number.to_string())),
            6 => format!("/{family}/{number}.json"),
            7 => format!("/{family};v=1/{number};x=y"),
            8 => format!("/./{family}/../{family}/{number}"),
            9 => format!("/{family}/{number}?fresh={}", chance.random_range(0..100)),
            _ => format!("/{family}/{number}"),
        }
    }
}

fn escape_first(text: &str) -> String {
    let mut bytes = text.bytes();
    let first = bytes.next().unwrap_or(b'x');
    format!("%{first:02X}{}", text.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn every_spelling_is_the_same_resource_to_the_origin() {
        let mut chance = StdRng::seed_from_u64(1);
        for index in 0..2_000 {
            let resource = Resource::nth(index % 40);
            let path = resource.spell(&mut chance);
            assert_eq!(crate::origin::canonical(&path), resource.name(), "{path}");
        }
    }
}

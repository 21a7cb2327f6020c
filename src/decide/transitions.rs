//! `[routes.transitions]`: which state may follow which.

use crate::identify::content::{Content, Place, Unreadable};
use crate::identify::look::LookTemplate;
use crate::request::json::Pointer;

/// The moves of a resource's state that a route allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transitions {
    /// Where the state stands in what the origin shows of the resource.
    pub field: Pointer,
    /// Which state a write moves to.
    pub to: MoveTo,
    /// Where the origin shows the resource, if not at the write's own target.
    pub look: Option<LookTemplate>,
    /// From each state, those that may follow it.
    pub allowed: Vec<(String, Vec<String>)>,
}

/// Which state a write moves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// The one that stands in its body.
    Body(Place),
    /// This one.
    Fixed(String),
}

impl Transitions {
    /// Whether it needs the request's body.
    pub fn reads_body(&self) -> bool {
        matches!(self.to, MoveTo::Body(_)) || self.look.as_ref().is_some_and(LookTemplate::reads_body)
    }

    /// The state that a write with this body moves to; `None`: it moves none.
    ///
    /// # Errors
    /// If nobody can tell.
    pub fn target(&self, content: Option<&Content<'_>>) -> Result<Option<String>, Unreadable> {
        match &self.to {
            MoveTo::Fixed(state) => Ok(Some(state.clone())),
            MoveTo::Body(place) => content.map_or(Ok(None), |content| content.value(place)),
        }
    }

    /// Whether a resource in one state may be written into another. A body that states the state as it is moves
    /// nothing; a fixed move is one, whatever the state.
    pub fn allows(&self, from: &str, to: &str) -> bool {
        let stays = match &self.to {
            MoveTo::Body(_) => from == to,
            MoveTo::Fixed(_) => false,
        };
        let listed = || self.allowed.iter().filter(|(state, _)| state == from).flat_map(|(_, next)| next);
        stays || listed().any(|state| state == to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(to: MoveTo) -> Transitions {
        let states = |list: &[&str]| list.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>();
        Transitions {
            field: Pointer::parse("/state").expect("a pointer"),
            to,
            look: None,
            allowed: vec![
                ("new".into(), states(&["paid", "cancelled"])),
                ("paid".into(), states(&["shipped"])),
            ],
        }
    }

    #[test]
    fn what_is_not_listed_is_not_allowed() {
        let body = moves(MoveTo::Body(Place::Form("state".into())));
        for (from, to, allowed) in [
            ("new", "paid", true),
            ("new", "shipped", false),
            ("shipped", "cancelled", false),
            ("shipped", "shipped", true),
            ("elsewhere", "new", false),
            ("NEW", "paid", false),
        ] {
            assert_eq!(body.allows(from, to), allowed, "{from} to {to}");
        }
        let fixed = moves(MoveTo::Fixed("cancelled".into()));
        assert!(fixed.allows("new", "cancelled"));
        assert!(!fixed.allows("cancelled", "cancelled"), "a second cancellation is not listed");
    }
}

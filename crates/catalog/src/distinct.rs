//! Gives every tool or prompt of all servers a name of its own. Which name one gets by itself, and which suffixes there
//! are, is the rule of `naming`; here those that come out alike are told apart, also from names that look like that.

use std::collections::{HashMap, HashSet};

use domain::{QualifiedName, ServerId, ToolName};
use smallvec::SmallVec;

/// Rounds in which names are changed. One is what ordinary servers need. Each further one needs a name that somebody
/// made to look like another's suffixed one, or suffixes of eight digits that are equal by chance.
const MAX_ROUNDS: usize = 8;

/// What is named: an item of a server.
pub(crate) type Named<'a> = (&'a ServerId, &'a ToolName);

/// How often an item's name was changed to tell it from others; at first it is the name that it gets by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Changes(pub(crate) usize);

/// An item on its way to a name.
struct Candidate<'a> {
    item: Named<'a>,
    changes: Changes,
    name: QualifiedName,
}

/// Names `items`, none of which is there twice, in their order; `name` says which name one has after so many changes.
/// Of those whose names are alike all are changed, so that nobody takes the name that another had; but one that was
/// changed more often keeps its name from those that look like it. No two names are the same: of those which cannot be
/// told apart the first one has the name, and the others have none.
pub(crate) fn names<'a>(
    items: impl IntoIterator<Item = Named<'a>>,
    name: impl Fn(Named<'a>, Changes) -> QualifiedName,
) -> Vec<Option<QualifiedName>> {
    let candidate =
        |item| Candidate { item, changes: Changes::default(), name: name(item, Changes::default()) };
    let mut candidates: Vec<_> = items.into_iter().map(candidate).collect();
    for _ in 0..MAX_ROUNDS {
        let alike = alike(&candidates);
        if alike.is_empty() {
            break;
        }
        for place in alike {
            let candidate = &mut candidates[place];
            candidate.changes.0 += 1;
            candidate.name = name(candidate.item, candidate.changes);
        }
    }
    let mut taken = HashSet::with_capacity(candidates.len());
    candidates.into_iter().map(|Candidate { name, .. }| taken.insert(name.clone()).then_some(name)).collect()
}

/// Returns the places of those whose names others have too, without those that keep them.
fn alike(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut places: HashMap<&QualifiedName, SmallVec<[usize; 2]>> = HashMap::with_capacity(candidates.len());
    for (place, candidate) in candidates.iter().enumerate() {
        places.entry(&candidate.name).or_default().push(place);
    }
    let mut alike = Vec::new();
    for mut places in places.into_values().filter(|places| places.len() > 1) {
        let changes = |place: &usize| candidates[*place].changes;
        let most = places.iter().map(changes).max().unwrap_or_default();
        if places.iter().filter(|place| changes(place) == most).count() == 1 {
            places.retain(|place| changes(place) != most);
        }
        alike.extend(places);
    }
    alike
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names items of one server; what comes out is in their order, `-` for none.
    fn told_apart(tools: &[&str], name: impl Fn(&str, usize) -> String) -> Vec<String> {
        let server = ServerId::new("s").unwrap();
        let tools: Vec<_> = tools.iter().map(|tool| ToolName::new(*tool).unwrap()).collect();
        let items = tools.iter().map(|tool| (&server, tool));
        let names =
            names(items, |(_, tool), changes| QualifiedName::new(name(tool.as_str(), changes.0)).unwrap());
        names.into_iter().map(|name| name.map_or_else(|| "-".to_owned(), |name| name.to_string())).collect()
    }

    /// Without what stands behind a dot, and with a mark for each change.
    fn marked(tool: &str, changes: usize) -> String {
        format!("{}{}", tool.split('.').next().unwrap_or_default(), "x".repeat(changes))
    }

    #[test]
    fn those_alike_are_changed_until_they_are_not() {
        let first = |tool: &str, changes: usize| match changes {
            0 => marked(tool, 0),
            _ => format!("{}{changes}", tool.replace('.', "_")),
        };
        assert_eq!(told_apart(&["a", "b"], first), ["a", "b"]);
        assert_eq!(told_apart(&["a.p", "a.q", "b"], first), ["a_p1", "a_q1", "b"]);
        // What was changed keeps its name from what looks like that.
        assert_eq!(told_apart(&["a.p", "a.q", "a_p1"], first), ["a_p1", "a_q1", "a_p11"]);
        let second = |tool: &str, changes: usize| match changes {
            0 | 1 => marked(tool, changes),
            _ => first(tool, changes),
        };
        assert_eq!(told_apart(&["a.p", "a.q", "ax"], second), ["a_p2", "a_q2", "axx"]);
    }

    #[test]
    fn of_those_that_cannot_be_told_apart_the_first_one_counts() {
        assert_eq!(
            told_apart(&["a.p", "b", "a.q"], marked),
            [&*format!("a{}", "x".repeat(MAX_ROUNDS)), "b", "-"]
        );
    }
}

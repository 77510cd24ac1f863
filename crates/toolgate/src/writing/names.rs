//! Gives every server a name of its own. Names that differ by upper and lower case alone count as the same, as they do
//! for the gateway.

use std::collections::HashSet;

/// Names that are taken.
#[derive(Debug, Default)]
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// Takes `wanted`, or the first free name made of it and `suffix`: `github-cursor`, `github-cursor-2`.
    pub fn take(&mut self, wanted: &str, suffix: &str) -> String {
        let with_suffix = || format!("{wanted}-{suffix}");
        let candidates = [wanted.to_owned(), with_suffix()].into_iter();
        let mut candidates = candidates.chain((2_u32..).map(|number| format!("{}-{number}", with_suffix())));
        let free = candidates.find(|name| !self.taken.contains(&name.to_lowercase()));
        let name = free.expect("there are more numbers than servers");
        self.taken.insert(name.to_lowercase());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_once() {
        let mut names = Names::default();
        let taken = ["a", "A", "a", "b", "a-x"].map(|wanted| names.take(wanted, "x"));
        assert_eq!(taken, ["a", "A-x", "a-x-2", "b", "a-x-x"]);
    }
}

//! The difference of two texts as one block of lines: an edit of ours changes one place.

/// Unchanged lines that are shown around a change.
const CONTEXT: usize = 3;

/// One line of a difference; the number counts from 0 in the text the line is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Kept(usize),
    Removed(usize),
    Added(usize),
}

/// A block of lines with where it begins in both texts, from 0.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) before_start: usize,
    pub(super) after_start: usize,
    pub(super) lines: Vec<Line>,
}

/// Returns what differs; none when nothing does. Lines that are kept are numbered as in `after`.
pub(super) fn difference(before: &[&str], after: &[&str]) -> Option<Block> {
    let shorter = before.len().min(after.len());
    let same_start = before.iter().zip(after).take_while(|(one, other)| one == other).count();
    if same_start == before.len() && same_start == after.len() {
        return None;
    }
    let pairs = before.iter().rev().zip(after.iter().rev()).take(shorter - same_start);
    let same_end = pairs.take_while(|(one, other)| one == other).count();
    let (before_end, after_end) = (before.len() - same_end, after.len() - same_end);
    let context_before = same_start.min(CONTEXT);
    let context_behind = same_end.min(CONTEXT);
    let mut lines: Vec<Line> = (same_start - context_before..same_start).map(Line::Kept).collect();
    lines.extend((same_start..before_end).map(Line::Removed));
    lines.extend((same_start..after_end).map(Line::Added));
    lines.extend((after_end..after_end + context_behind).map(Line::Kept));
    let start = same_start - context_before;
    Some(Block { before_start: start, after_start: start, lines })
}

// === impl Block ===

impl Block {
    /// Returns the head line of a unified difference.
    pub(super) fn head(&self) -> String {
        let count = |is_other: fn(&Line) -> bool| self.lines.iter().filter(|line| !is_other(line)).count();
        let before = count(|line| matches!(line, Line::Added(_)));
        let after = count(|line| matches!(line, Line::Removed(_)));
        // An empty side stands before its first line.
        let from = |start: usize, count: usize| if count == 0 { start } else { start + 1 };
        format!(
            "@@ -{},{before} +{},{after} @@",
            from(self.before_start, before),
            from(self.after_start, after)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(before: &str, after: &str, expected: &str) {
        let (before, after): (Vec<_>, Vec<_>) = (before.split(' ').collect(), after.split(' ').collect());
        let shown = difference(&before, &after).map_or_else(String::new, |block| {
            let line = |line: &Line| match line {
                Line::Kept(at) => format!(" {}", after[*at]),
                Line::Removed(at) => format!(" -{}", before[*at]),
                Line::Added(at) => format!(" +{}", after[*at]),
            };
            format!("{}{}", block.head(), block.lines.iter().map(line).collect::<String>())
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn one_block_with_context() {
        check("a b c d e f g h", "a b c d X f g h", "@@ -2,7 +2,7 @@ b c d -e +X f g h");
        check("a b", "a b c", "@@ -1,2 +1,3 @@ a b +c");
        check("a a a", "a a", "@@ -1,3 +1,2 @@ a a -a");
        check("a", "a", "");
    }
}

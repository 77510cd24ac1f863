//! Splits names and prose into lower-case words: `getHTTPResponse`, `pull-request`, `snake_case`, `GitHub`.

use std::{collections::HashSet, ops::ControlFlow, sync::LazyLock};

use smallvec::SmallVec;

/// Longest part of a word that counts, in bytes. Longer ones are encoded data.
const MAX_WORD: usize = 32;
/// Most parts of a mixed-case word that is also kept whole: "GitHub" is "github" too, a long method name is not.
const MAX_WHOLE_PARTS: usize = 3;

/// Calls `each` with every run of letters and digits in `text`, as written.
pub(super) fn runs<'a>(text: &'a str, each: impl FnMut(&'a str)) {
    text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()).for_each(each);
}

/// Calls `each` with the words of `text` until it breaks; a mixed-case word stands whole and in parts.
pub(super) fn each_word(text: &str, mut each: impl FnMut(&str) -> ControlFlow<()>) {
    let mut word = String::new();
    for run in text.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()) {
        let parts = parts(run);
        let whole = (2..=MAX_WHOLE_PARTS).contains(&parts.len()).then_some(run);
        for part in whole.into_iter().chain(parts) {
            lower_into(part, &mut word);
            if each(&word).is_break() {
                return;
            }
        }
    }
}

/// Splits a run at changes of case: before an upper-case letter that follows a lower-case one or a digit, and before
/// the last letter of an acronym that a word follows.
pub(super) fn parts(run: &str) -> SmallVec<[&str; 4]> {
    let mut out = SmallVec::new();
    if !run.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii()) {
        out.push(run);
        return out;
    }
    let (mut start, mut previous) = (0, None::<char>);
    let mut rest = run.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        let next_is_lower = rest.peek().is_some_and(|(_, next)| next.is_lowercase());
        let begins = c.is_uppercase()
            && previous
                .is_some_and(|before| !before.is_uppercase() || (before.is_uppercase() && next_is_lower));
        if begins && at > start {
            out.push(&run[start..at]);
            start = at;
        }
        previous = Some(c);
    }
    out.push(&run[start..]);
    out
}

/// Returns the run in lower case, cut to the longest word.
pub(super) fn lower(run: &str) -> String {
    let mut word = String::new();
    lower_into(run, &mut word);
    word
}

fn lower_into(run: &str, word: &mut String) {
    word.clear();
    if run.is_ascii() {
        word.push_str(&run[..run.len().min(MAX_WORD)]);
        word.make_ascii_lowercase();
        return;
    }
    for c in run.chars().flat_map(char::to_lowercase) {
        if word.len() + c.len_utf8() > MAX_WORD {
            break;
        }
        word.push(c);
    }
}

/// Tells whether a word says nothing about a tool in its own description.
pub(super) fn is_filler(word: &str) -> bool {
    matches!(
        word,
        "a" | "an" | "and" | "are" | "as" | "at" | "be" | "by" | "for" | "from" | "in" | "is" | "it"
    ) || matches!(word, "of" | "on" | "or" | "that" | "the" | "this" | "to" | "with")
}

/// Tells whether a word says nothing about what is looked for: the small words of a request to a person.
pub(super) fn is_chatter(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| CHATTER.split_ascii_whitespace().collect());
    WORDS.contains(word)
}

/// Words of people who ask, with what is left of contractions ("don't" is "don" and "t").
const CHATTER: &str = "a an the and or but if then else of to in on at by for with from into onto over under about as \
    is are was were be been being am do does did doing done have has had having i me my mine we us our ours you your \
    yours he him his she her it its they them their theirs this that these those there here what which who whom whose \
    when where why how not no nor so too very just also only any some all each every both few more most other such \
    than can could will would shall should may might must please hey hi hello thanks thank want need like let lets \
    give tell know help think trying try got going go able sure kind bit thing things stuff up out off down again \
    further once now still really actually maybe somehow something anything someone via per one s t d ll m re ve don \
    didn doesn isn aren wasn won etc eg ie e g";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, limit: usize) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |word| {
            words.push(word.to_owned());
            if words.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        words
    }

    #[test]
    fn names_are_split() {
        let cases: [(&str, &[&str]); 12] = [
            ("create_pull_request", &["create", "pull", "request"]),
            ("pull-request.list", &["pull", "request", "list"]),
            ("listFiles", &["listfiles", "list", "files"]),
            ("getHTTPResponse", &["gethttpresponse", "get", "http", "response"]),
            ("KendraListIndexesTool", &["kendra", "list", "indexes", "tool"]),
            ("OAuth2Token", &["oauth2token", "o", "auth2", "token"]),
            ("S3", &["s3"]),
            ("ec2_describe", &["ec2", "describe"]),
            ("GitHub", &["github", "git", "hub"]),
            ("URL", &["url"]),
            ("Übergröße", &["übergröße"]),
            ("--__--", &[]),
        ];
        for (name, expected) in cases {
            assert_eq!(words(name, 10), expected, "{name}");
        }
    }

    #[test]
    fn words_are_bounded() {
        assert_eq!(words(&"x".repeat(500), 10)[0].len(), MAX_WORD);
        assert_eq!(words(&"one two ".repeat(500), 10).len(), 10);
    }

    #[test]
    fn small_words_say_nothing() {
        assert!(["a", "an", "from", "the", "to", "with"].iter().all(|word| is_filler(word)));
        assert!(!is_filler("list") && is_chatter("please") && !is_chatter("list"));
    }
}

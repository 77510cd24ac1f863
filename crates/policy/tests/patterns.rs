//! Patterns by example, as Python 3.11's `fnmatch.fnmatchcase` answers, and how much work a hard one is.

use policy::Pattern;

#[test]
fn patterns_answer_as_python_does() {
    let table = [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "a\nb", true),
        ("**", "anything", true),
        ("get_*", "get_", true),
        ("get_*", "Get_x", false),
        ("*_query", "run_query", true),
        ("*_query", "run_query2", false),
        ("a*b*c", "a1b2c", true),
        ("a*b*c", "a1c2b", false),
        ("*a*", "xax", true),
        ("?", "é", true),
        ("?", "", false),
        ("?_*", "ab_b", false),
        ("[ab]x", "bx", true),
        ("[!ab]x", "bx", false),
        ("[!ab]x", "\nx", true),
        ("[a-c]", "b", true),
        ("[c-a]", "b", false),
        ("[c-a]", "c", false),
        ("[!c-a]", "b", true),
        ("[]a]", "]", true),
        ("[!]a]", "]", false),
        ("[]", "[]", true),
        ("[!]", "[!]", true),
        ("get_[", "get_[", true),
        ("get_[*", "get_[x", true),
        ("*]", "a]", true),
        ("[a-]", "-", true),
        ("[-a]", "-", true),
        ("[--0]", ".", true),
        ("[^a]", "^", true),
        ("[^a]", "b", false),
        ("[a-b-c]", "-", true),
        ("a\\*", "a\\x", true),
        ("[\\]", "\\", true),
        ("[&&~~||]", "~", true),
    ];
    for (pattern, text, matches) in table {
        assert_eq!(Pattern::new(pattern).matches(text), matches, "{pattern:?} {text:?}");
    }
}

#[test]
fn a_pattern_with_many_stars_does_not_blow_up() {
    let pattern = Pattern::new(&"a*".repeat(500));
    let text = "a".repeat(100_000);
    assert!(!Pattern::new(&format!("{}b", "a*".repeat(500))).matches(&text));
    assert!(pattern.matches(&text));
}

#[test]
fn a_pattern_longer_than_any_name_matches_nothing() {
    assert!(!Pattern::new(&"*".repeat(4_097)).matches("a"));
    assert!(Pattern::new(&"*".repeat(4_096)).matches("a"));
}

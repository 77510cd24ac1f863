//! Cuts English endings, so that "creating", "created" and "creation" are one term. Light on purpose: it never makes
//! two different short words equal, and what it cuts wrongly it cuts wrongly everywhere.

/// Shortest word that is cut.
const SHORTEST: usize = 4;

/// Cuts the ending of `word` in place. Words that are not plain lower-case ASCII letters stay as they are.
pub(super) fn stem(word: &mut String) {
    if word.len() < SHORTEST || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return;
    }
    cut_plural(word);
    cut_form(word);
    if word.len() >= SHORTEST && word.ends_with('e') {
        word.pop();
    }
    // configurate, configuration -> configur: as in configure.
    if word.len() >= 7 && word.ends_with("at") {
        word.truncate(word.len() - 2);
    }
    if word.len() >= SHORTEST && word.ends_with('y') {
        word.pop();
        word.push('i');
    }
}

fn cut_plural(word: &mut String) {
    let long_endings = ["sses", "xes", "ches", "shes", "zes"];
    if word.ends_with("ies") && word.len() > 4 {
        word.truncate(word.len() - 3);
        word.push('y');
    } else if long_endings.iter().any(|ending| word.ends_with(ending)) {
        word.truncate(word.len() - 2);
    } else if word.ends_with('s') && !["ss", "us", "is"].iter().any(|ending| word.ends_with(ending)) {
        word.pop();
    }
}

fn cut_form(word: &mut String) {
    let length = word.len();
    if word.ends_with("ing") && length > 5 && has_vowel(&word[..length - 3]) {
        word.truncate(length - 3);
        cut_double(word);
    } else if word.ends_with("ed") && length > 4 && has_vowel(&word[..length - 2]) {
        word.truncate(length - 2);
        cut_double(word);
    } else if word.ends_with("ment") && length >= 9 {
        word.truncate(length - 4);
    } else if length > 5 && (word.ends_with("tion") || word.ends_with("sion")) {
        word.truncate(length - 3);
    }
}

/// running -> run. Not after l, s, z: calling, passing, buzzing.
fn cut_double(word: &mut String) {
    if let [.., before, last] = *word.as_bytes()
        && before == last
        && word.len() > 3
        && !matches!(last, b'l' | b's' | b'z')
    {
        word.pop();
    }
}

fn has_vowel(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'a' | b'e' | b'i' | b'o' | b'u' | b'y'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stemmed(word: &str) -> String {
        let mut word = word.to_owned();
        stem(&mut word);
        word
    }

    #[test]
    fn forms_of_a_word_are_one_term() {
        let families: [&[&str]; 8] = [
            &["create", "creates", "created", "creating", "creation"],
            &["query", "queries", "querying"],
            &["configure", "configured", "configuration", "configurations"],
            &["delete", "deleting", "deletion"],
            &["box", "boxes"],
            &["run", "runs", "running"],
            &["deploy", "deploys", "deployment", "deployed"],
            &["address", "addresses"],
        ];
        for family in families {
            for word in family {
                assert_eq!(stemmed(word), stemmed(family[0]), "{word}");
            }
        }
    }

    #[test]
    fn other_words_stay_apart() {
        let words = ["status", "state", "bus", "bed", "string", "user", "use", "s3", "über", "ec2s"];
        let mut stems: Vec<String> = words.iter().map(|word| stemmed(word)).collect();
        stems.sort();
        stems.dedup();
        assert_eq!(stems.len(), words.len(), "{stems:?}");
    }
}

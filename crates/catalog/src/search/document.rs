//! Reads what a tool says of itself, field by field. The text is a server's: anything may stand there, and all of
//! it is bounded here.

use std::ops::ControlFlow;

use serde_json::Value;

use super::{
    stem::stem,
    weights::{Field, SATURATION},
    words::{each_word, is_filler},
};

/// How deep parameters within parameters are read.
const MAX_DEPTH: usize = 2;
/// How much of a text is read, in bytes; the word limits of a field are usually reached first.
const MAX_TEXT: usize = 4096;
/// How many parameters of one object are read.
const MAX_PARAMETERS: usize = 64;
/// How many allowed values of one parameter are read.
const MAX_VALUES: usize = 16;
/// A first sentence shorter than this is a heading and no summary, in bytes.
const SHORTEST_SUMMARY: usize = 12;

/// Reads the tools of one server, one after the other.
pub(super) struct Reader {
    server: Vec<String>,
    words: WordBuffer,
    names: String,
    texts: String,
}

impl Reader {
    /// Makes the reader of a server's tools.
    pub(super) fn new(server: &str) -> Self {
        let mut words = WordBuffer::default();
        words.read(server, Field::Server.weight().limit);
        let server = words.iter().map(stemmed).collect();
        Self { server, words, names: String::new(), texts: String::new() }
    }

    /// Calls `each` with every term of a tool and what one occurrence counts. What is missing or of another type
    /// counts as empty.
    pub(super) fn read(&mut self, name: &str, tool: &Value, mut each: impl FnMut(&str, f32)) {
        let counts = each_weight(Field::Server, self.server.len());
        self.server.iter().for_each(|term| each(term, counts));
        self.words.read(name, Field::Name.weight().limit);
        let names = self.words.len();
        self.words.read_more(title(tool), Field::Name.weight().limit);
        // The words of a title that the name has already say nothing new.
        self.words.keep_new(names);
        self.words.each_term(Field::Name, &mut each);
        let (summary, detail) = first_sentence(text(tool, "description"));
        self.add(Field::Summary, summary, &mut each);
        self.add(Field::Detail, detail, &mut each);
        self.read_parameters(tool, &mut each);
    }

    fn read_parameters(&mut self, tool: &Value, each: &mut impl FnMut(&str, f32)) {
        let Some(schema) = tool.get("inputSchema") else { return };
        let mut parameters =
            Parameters { names: std::mem::take(&mut self.names), texts: std::mem::take(&mut self.texts) };
        parameters.read(schema, 0);
        self.add(Field::Parameter, &parameters.names, each);
        self.add(Field::ParameterText, &parameters.texts, each);
        (self.names, self.texts) = (parameters.names, parameters.texts);
        self.names.clear();
        self.texts.clear();
    }

    fn add(&mut self, field: Field, text: &str, each: &mut impl FnMut(&str, f32)) {
        self.words.read(text, field.weight().limit);
        self.words.each_term(field, each);
    }
}

fn stemmed(word: &str) -> String {
    let mut word = word.to_owned();
    stem(&mut word);
    word
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).map(bounded).unwrap_or_default()
}

fn title(tool: &Value) -> &str {
    let title = text(tool, "title");
    if title.is_empty() { tool.get("annotations").map_or("", |notes| text(notes, "title")) } else { title }
}

/// Returns what one of `count` words in the field counts.
fn each_weight(field: Field, count: usize) -> f32 {
    let weight = field.weight();
    let share = count as f32 / weight.usual;
    weight.weight / (1.0 - weight.length + weight.length * share)
}

/// The words of one field, without those that say nothing. Kept in one text, so that reading them allocates nothing.
#[derive(Default)]
struct WordBuffer {
    text: String,
    ends: Vec<usize>,
    term: String,
}

impl WordBuffer {
    /// Reads the first `limit` words of a text, in place of what was there.
    fn read(&mut self, text: &str, limit: usize) {
        self.text.clear();
        self.ends.clear();
        self.read_more(text, limit);
    }

    /// Reads up to `limit` further words.
    fn read_more(&mut self, text: &str, limit: usize) {
        let mut room = limit;
        each_word(text, |word| {
            if room == 0 {
                return ControlFlow::Break(());
            }
            room -= 1;
            if !is_filler(word) {
                self.text.push_str(word);
                self.ends.push(self.text.len());
            }
            ControlFlow::Continue(())
        });
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }

    /// Leaves out the words after the first `count` that are among them.
    fn keep_new(&mut self, count: usize) {
        if self.len() == count {
            return;
        }
        let all: Vec<String> = self.iter().map(str::to_owned).collect();
        let (old, new) = all.split_at(count);
        self.text.clear();
        self.ends.clear();
        for word in old.iter().chain(new.iter().filter(|word| !old.contains(word))) {
            self.text.push_str(word);
            self.ends.push(self.text.len());
        }
    }

    fn each_term(&mut self, field: Field, each: &mut impl FnMut(&str, f32)) {
        let counts = each_weight(field, self.len());
        let mut start = 0;
        for end in &self.ends {
            self.term.clear();
            self.term.push_str(&self.text[start..*end]);
            stem(&mut self.term);
            each(&self.term, counts);
            start = *end;
        }
    }
}

/// Returns how well a tool fits a term whose occurrences count `sum`, from 0 to 1.
pub(super) fn impact(sum: f32) -> f32 {
    sum / (SATURATION + sum)
}

/// Splits a description after its first sentence or line.
fn first_sentence(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.char_indices().zip(text.chars().skip(1)).find_map(|((at, c), next)| {
        let ends = c == '\n' || (matches!(c, '.' | '!' | '?' | ':') && next.is_whitespace());
        (ends && at >= SHORTEST_SUMMARY).then_some(at + c.len_utf8())
    });
    text.split_at(end.unwrap_or(text.len()))
}

/// Returns the beginning of a text.
fn bounded(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

/// What a schema's parameters are called and what is said of them.
struct Parameters {
    names: String,
    texts: String,
}

impl Parameters {
    fn read(&mut self, schema: &Value, depth: usize) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        for (name, parameter) in properties.iter().take(MAX_PARAMETERS) {
            push(&mut self.names, name);
            self.read_texts(parameter);
            if depth + 1 < MAX_DEPTH {
                self.read(parameter, depth + 1);
                if let Some(items) = parameter.get("items") {
                    self.read(items, depth + 1);
                }
            }
        }
    }

    fn read_texts(&mut self, parameter: &Value) {
        let description = parameter.get("description").and_then(Value::as_str);
        let values = parameter.get("enum").and_then(Value::as_array).into_iter().flatten();
        let texts = description.into_iter().chain(values.take(MAX_VALUES).filter_map(Value::as_str));
        texts.for_each(|text| push(&mut self.texts, text));
    }
}

fn push(to: &mut String, text: &str) {
    if to.len() < MAX_TEXT {
        to.push(' ');
        to.push_str(bounded(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_is_apart() {
        assert_eq!(first_sentence("Lists all files. Takes a path."), ("Lists all files.", " Takes a path."));
        assert_eq!(first_sentence("Reads v1.2 files"), ("Reads v1.2 files", ""));
        assert_eq!(first_sentence("Note: this tool\nreads"), ("Note: this tool\n", "reads"));
        assert_eq!(first_sentence(" \n"), ("", ""));
    }

    #[test]
    fn nested_parameters_are_read_once() {
        let deep = serde_json::json!({"inputSchema": {"properties": {"x": {"properties": {"y": {"properties": {"z": {}}}}}}}});
        let mut terms = Vec::new();
        Reader::new("server").read("t", &deep, |term, _| terms.push(term.to_owned()));
        assert_eq!(terms, ["server", "t", "x", "y"]);
    }
}

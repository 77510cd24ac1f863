//! Answers that are JSON: a file of its own, because not every test binary reads any.

use serde_json::Value;

use super::answer::Answer;

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.output)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.output, self.errors))
    }
}

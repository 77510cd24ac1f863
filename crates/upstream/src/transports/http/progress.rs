//! Progress tokens: ours on the wire where calls share a session, the client's own towards the client.

use bytes::Bytes;
use protocol::{Edit, Object, meta::PROGRESS_TOKEN, splice};

/// The token of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProgressToken {
    /// The client wants no progress.
    None,
    /// The client's token went along as it is.
    Kept(Box<str>),
    /// The request's id went in place of the client's token, which is kept here as JSON text.
    Replaced {
        /// The JSON text of ours.
        ours: Box<str>,
        /// The JSON text of the client's.
        theirs: Box<str>,
    },
}

impl ProgressToken {
    /// Returns the parameters of a progress notification as the client wants them; `None` if it is not for this call.
    pub(super) fn restore(&self, params: &Bytes) -> Option<Bytes> {
        let object = Object::parse(params, &[PROGRESS_TOKEN]).ok()?;
        let found = object.get(PROGRESS_TOKEN)?;
        match self {
            Self::None => None,
            Self::Kept(token) => (found == &**token).then(|| params.clone()),
            Self::Replaced { ours, theirs } if found == &**ours => {
                let at = object.span(PROGRESS_TOKEN)?;
                let mut restored = Vec::with_capacity(params.len() + theirs.len());
                splice(&mut restored, params, &[Edit { at, with: theirs.as_bytes() }]);
                Some(restored.into())
            }
            Self::Replaced { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_changes() {
        let check = |token: &ProgressToken, params: &'static str, expected: Option<&str>| {
            let restored = token.restore(&Bytes::from_static(params.as_bytes()));
            assert_eq!(restored.as_deref(), expected.map(str::as_bytes), "{params}");
        };
        let replaced = ProgressToken::Replaced { ours: "7".into(), theirs: "\"a\\u0062\"".into() };
        check(
            &replaced,
            r#"{ "progress":1.50, "progressToken" : 7,"x":{}}"#,
            Some(r#"{ "progress":1.50, "progressToken" : "a\u0062","x":{}}"#),
        );
        check(&replaced, r#"{"progressToken":8}"#, None);
        check(&replaced, r#"{"progressToken":"7"}"#, None);
        check(&replaced, r#"{"progress":7}"#, None);
        let kept = ProgressToken::Kept("\"t\"".into());
        check(&kept, r#"{"progressToken":"t","progress":1}"#, Some(r#"{"progressToken":"t","progress":1}"#));
        check(&kept, r#"{"progressToken":"u"}"#, None);
        check(&ProgressToken::None, r#"{"progressToken":1}"#, None);
    }
}

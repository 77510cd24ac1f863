//! Which request `notifications/cancelled` is about, in whichever direction it goes (specification 2025-11-25,
//! cancellation). What becomes of the request is for those who know it.

use crate::{Object, RequestId};

/// Reads the request's id from the notification's parameters; `None` if they name none.
pub fn cancelled_id(params: &[u8]) -> Option<RequestId> {
    RequestId::from_json(Object::parse(params, &["requestId"]).ok()?.get("requestId")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_named_by_its_id() {
        let read = |params: &str| cancelled_id(params.as_bytes());
        assert_eq!(read(r#"{"reason":"late","requestId":7}"#), Some(7.into()));
        assert_eq!(read(r#"{"requestId":"a"}"#), RequestId::from_json("\"a\""));
        for nothing in ["{}", "[]", r#"{"requestId":null}"#, r#"{"requestId":1,"requestId":2}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}

//! A panic at the door fails its request and no other: the connection and whatever else runs on it live on. Answers that
//! are on their way have the same guard in `reply`; this one is for what comes before them.

use std::{panic::AssertUnwindSafe, pin::Pin};

use futures_util::FutureExt;
use http::Response;
use protocol::RequestId;

use super::{body::ReplyBody, refusal::Refusal};

/// What the door makes of a request.
type Answered = Result<Response<ReplyBody>, Refusal>;

/// Waits for what the door makes of a request; a panic is a refusal of the request `id`. Taken pinned, because a future
/// passed by value is copied into the one around it.
///
/// Nothing that unwinding left half done is seen again: the request's own values are dropped, and what is shared is
/// behind locks that forgive a panic.
pub(super) async fn guarded(
    id: Option<RequestId>,
    answering: Pin<&mut (impl Future<Output = Answered> + Send)>,
) -> Answered {
    AssertUnwindSafe(answering).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("a request panicked at the door; the panic message stands above");
        Err(Refusal::Panicked(id))
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_answer_to_its_request() {
        for (id, written) in [(RequestId::from_json("7"), "7"), (None, "null")] {
            let panicking = pin!(async { panic!("on purpose") });
            let refusal = guarded(id, panicking).await.err().unwrap();
            assert_eq!(refusal.reason(), "internal_error");
            let response = refusal.into_response();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!response.headers().contains_key("connection"), "the connection lives");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (body["id"].to_string().as_str(), &body["error"]["code"]),
                (written, &(-32603).into())
            );
        }
    }
}

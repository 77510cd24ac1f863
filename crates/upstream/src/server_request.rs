//! A request that a legacy server sends to its client (sampling, elicitation, roots). It is answered at most once; one
//! that is dropped unanswered is refused, so no server waits for ever.

use bytes::Bytes;
use protocol::{ResponseBody, code, encode};
use tokio_util::sync::CancellationToken;

/// Takes the answer back to the server.
type Answer = Box<dyn FnOnce(ResponseBody) + Send + Sync>;

/// A server's request that waits for its answer.
pub struct ServerRequest {
    method: Box<str>,
    params: Option<Bytes>,
    withdrawn: CancellationToken,
    settled: CancellationToken,
    /// `None` once it is answered.
    answer: Option<Answer>,
}

impl ServerRequest {
    /// Makes a request whose answer goes to `answer`.
    pub fn new(
        method: Box<str>,
        params: Option<Bytes>,
        answer: impl FnOnce(ResponseBody) + Send + Sync + 'static,
    ) -> Self {
        let (withdrawn, settled) = (CancellationToken::new(), CancellationToken::new());
        Self { method, params, withdrawn, settled, answer: Some(Box::new(answer)) }
    }

    /// Returns the method's name.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the JSON text of the parameters, if there are any.
    pub const fn params(&self) -> Option<&Bytes> {
        self.params.as_ref()
    }

    /// Drops the parameters, once they are written for whoever is asked: the answer may be long in coming.
    pub fn forget_params(&mut self) {
        self.params = None;
    }

    /// Returns a token that is cancelled when the request is answered, refused or dropped: nobody is waited for any more.
    pub const fn settled(&self) -> &CancellationToken {
        &self.settled
    }

    /// Returns a token that is cancelled when the server takes the request back (`notifications/cancelled`).
    pub const fn withdrawn(&self) -> &CancellationToken {
        &self.withdrawn
    }

    /// Answers the request with the JSON text of a result or an error object.
    pub fn answer(mut self, body: ResponseBody) {
        if let Some(answer) = self.answer.take() {
            answer(body);
        }
    }

    /// Refuses the request: its client cannot be asked this.
    pub fn refuse(self) {
        self.answer(refusal(code::METHOD_NOT_FOUND, "the client does not support this"));
    }
}

fn refusal(code: i64, message: &str) -> ResponseBody {
    ResponseBody::Error(encode::error_value(code, message).into())
}

impl Drop for ServerRequest {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer(refusal(code::INTERNAL_ERROR, "the client cannot be asked any more"));
        }
        self.settled.cancel();
    }
}

impl std::fmt::Debug for ServerRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn asked() -> (ServerRequest, Arc<Mutex<Vec<String>>>) {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let heard = answers.clone();
        let request = ServerRequest::new("roots/list".into(), None, move |body| {
            let (ResponseBody::Result(text) | ResponseBody::Error(text)) = body;
            heard.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap());
        });
        (request, answers)
    }

    #[test]
    fn one_answer_and_never_none() {
        let (request, answers) = asked();
        request.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
        assert_eq!(*answers.lock().unwrap(), ["{}"]);
        let (request, answers) = asked();
        drop(request);
        assert_eq!(answers.lock().unwrap().len(), 1);
        let (request, answers) = asked();
        request.refuse();
        assert!(answers.lock().unwrap()[0].contains("-32601"));
    }

    #[test]
    fn it_is_settled_however_it_ends() {
        let answer = |request: ServerRequest| request.answer(ResponseBody::Result(Bytes::from_static(b"{}")));
        for end in [answer, ServerRequest::refuse, drop] {
            let (request, _) = asked();
            let settled = request.settled().clone();
            assert!(!settled.is_cancelled());
            end(request);
            assert!(settled.is_cancelled());
        }
    }
}

//! Requests of servers that were put to a client and belong together: those of one call, or those outside of calls.
//! What the client has to be told of them beside the requests themselves is here.

use bytes::Bytes;
use futures_util::future::select_all;
use parking_lot::Mutex;
use protocol::encode;
use tokio_util::sync::CancellationToken;

use super::asked::Asked;

/// A request of a server that waits for the client's answer.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Our id of it.
    pub(super) id: u64,
    /// The message that puts it to the client.
    pub(super) message: Bytes,
    /// Cancelled when the server takes it back.
    pub(super) withdrawn: CancellationToken,
}

/// Questions that belong together.
#[derive(Debug, Default)]
pub(crate) struct Questions(Mutex<Vec<(u64, CancellationToken)>>);

impl Questions {
    /// Adds a question; returns its message.
    pub(crate) fn add(&self, question: Question, asked: &Asked) -> Bytes {
        let mut open = self.0.lock();
        // Answered ones go, so that as many are here as may wait.
        open.retain(|(id, _)| asked.is_waiting(*id));
        open.push((question.id, question.withdrawn));
        question.message
    }

    /// Waits until a server takes a question back that is not answered; returns what the client is to be told.
    /// Cancel safe. Questions that are added meanwhile are not waited for.
    pub(crate) async fn withdrawn(&self, asked: &Asked) -> Bytes {
        loop {
            let open: Vec<_> = self.0.lock().clone();
            if open.is_empty() {
                return std::future::pending().await;
            }
            let waits = open.into_iter().map(|(id, withdrawn)| {
                Box::pin(async move {
                    withdrawn.cancelled_owned().await;
                    id
                })
            });
            let (id, ..) = select_all(waits).await;
            self.0.lock().retain(|(open, _)| *open != id);
            if asked.forget(id) {
                let params = format!(r#"{{"requestId":{id},"reason":"the server took its request back"}}"#);
                return encode::notification("notifications/cancelled", Some(params.as_bytes())).into();
            }
        }
    }

    /// Forgets the questions that are not answered: nobody waits for the answers any more.
    pub(crate) fn forget(&self, asked: &Asked) {
        let open = std::mem::take(&mut *self.0.lock());
        for (id, _) in open {
            asked.forget(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex as StdMutex};

    use domain::ServerId;
    use futures_util::FutureExt;
    use protocol::{RequestId, Response, ResponseBody};
    use upstream::ServerRequest;

    use super::*;

    type Answers = Arc<StdMutex<Vec<String>>>;

    fn request() -> (ServerRequest, Answers) {
        let answers = Answers::default();
        let heard = answers.clone();
        let request = ServerRequest::new("roots/list".into(), None, move |body| {
            let (ResponseBody::Result(text) | ResponseBody::Error(text)) = body;
            heard.lock().unwrap().push(String::from_utf8(text.to_vec()).unwrap());
        });
        (request, answers)
    }

    fn answer(id: u64) -> Response {
        Response { id: Some(RequestId::from(id)), body: ResponseBody::Result(Bytes::from_static(b"{}")) }
    }

    /// Puts a request to the client; returns its message and the token that takes it back.
    fn put(questions: &Questions, asked: &Asked, request: ServerRequest) -> (String, CancellationToken) {
        let withdrawn = request.withdrawn().clone();
        let server = ServerId::new("one").unwrap();
        let message = questions.add(asked.ask(&server, request).expect("there is room"), asked);
        (String::from_utf8(message.to_vec()).unwrap(), withdrawn)
    }

    #[tokio::test]
    async fn what_a_server_takes_back_is_told_once_under_our_id() {
        let (asked, questions) = (Asked::default(), Questions::default());
        assert!(questions.withdrawn(&asked).now_or_never().is_none(), "nothing was asked");
        let ((first, first_answers), (second, second_answers)) = (request(), request());
        let (message, _) = put(&questions, &asked, first);
        assert!(message.contains(r#""id":1"#) && message.contains("roots/list"), "{message}");
        let (_, taken_back) = put(&questions, &asked, second);
        assert!(questions.withdrawn(&asked).now_or_never().is_none());
        taken_back.cancel();
        let told = questions.withdrawn(&asked).await;
        assert!(std::str::from_utf8(&told).unwrap().contains(r#""requestId":2"#), "{told:?}");
        assert!(questions.withdrawn(&asked).now_or_never().is_none(), "once");
        asked.answer(answer(2));
        asked.answer(answer(1));
        assert_eq!(*first_answers.lock().unwrap(), ["{}"]);
        assert_eq!(
            second_answers.lock().unwrap().len(),
            1,
            "refused when it was taken back, and not answered then"
        );
    }

    #[tokio::test]
    async fn what_was_answered_is_not_told() {
        let (asked, questions) = (Asked::default(), Questions::default());
        let (_, taken_back) = put(&questions, &asked, request().0);
        asked.answer(answer(1));
        taken_back.cancel();
        assert!(questions.withdrawn(&asked).now_or_never().is_none());
    }

    #[test]
    fn what_is_forgotten_is_refused_and_others_stay() {
        let asked = Asked::default();
        let (own, others) = (Questions::default(), Questions::default());
        let ((first, first_answers), (second, second_answers)) = (request(), request());
        put(&own, &asked, first);
        put(&others, &asked, second);
        own.forget(&asked);
        assert_eq!(first_answers.lock().unwrap().len(), 1);
        asked.answer(answer(1));
        assert_eq!(first_answers.lock().unwrap().len(), 1, "an answer to nothing");
        assert!(second_answers.lock().unwrap().is_empty());
    }

    #[test]
    fn answered_questions_are_not_kept() {
        let (asked, questions) = (Asked::default(), Questions::default());
        for id in 1..100 {
            put(&questions, &asked, request().0);
            asked.answer(answer(id));
        }
        assert_eq!(questions.0.lock().len(), 1);
    }
}

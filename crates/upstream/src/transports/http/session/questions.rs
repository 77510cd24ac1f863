//! What a server has asked in a session and is not answered yet: where to say that an answer is not wanted any more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use protocol::RequestId;
use tokio_util::sync::CancellationToken;

/// Questions in one session at once. One more is refused: a person answers them one by one.
const MAX_OPEN: usize = 256;

/// The open questions of one session.
#[derive(Debug, Default)]
pub(in crate::transports) struct Questions(Mutex<Vec<Question>>);

/// A question as the session remembers it.
#[derive(Debug)]
pub(in crate::transports) struct Question {
    /// The server's id.
    pub(in crate::transports) id: RequestId,
    /// The request of ours during which it was asked; none for what was asked outside calls.
    pub(in crate::transports) call: Option<u64>,
    /// Tells who is asked that no answer is wanted.
    pub(in crate::transports) withdrawn: CancellationToken,
    /// Set when the question was answered, or when its answer is not to be sent any more; whoever sets it decides.
    pub(in crate::transports) is_settled: Arc<AtomicBool>,
}

/// What became of a question that was to be remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transports) enum Entered {
    /// It is open now.
    Open,
    /// One of the same id is open: the server has said it twice.
    Again,
    /// There is no room for it.
    Full,
}

impl Questions {
    /// Adds a question.
    pub(in crate::transports) fn enter(&self, question: Question) -> Entered {
        let mut open = self.0.lock();
        open.retain(|earlier| !earlier.is_settled.load(Ordering::Relaxed));
        if open.iter().any(|earlier| earlier.id == question.id) {
            return Entered::Again;
        }
        if open.len() >= MAX_OPEN {
            return Entered::Full;
        }
        open.push(question);
        Entered::Open
    }

    /// Settles the question that the server takes back; tells whether it was open.
    pub(in crate::transports) fn take_back(&self, id: &RequestId) -> bool {
        let taken = self.take(|question| question.id == *id);
        let was_open = !taken.is_empty();
        taken.into_iter().for_each(Question::settle);
        was_open
    }

    /// Settles what was asked during a request that was answered: the server waits no more.
    pub(in crate::transports) fn settle_call(&self, call: u64) {
        self.take(|question| question.call == Some(call)).into_iter().for_each(Question::settle);
    }

    /// Takes back from who is asked what the server asked during a request that has ended without an answer. Refusals
    /// still go out: the server may wait.
    pub(in crate::transports) fn withdraw_call(&self, call: u64) {
        let questions = self.take(|question| question.call == Some(call));
        questions.into_iter().for_each(|question| question.withdrawn.cancel());
    }

    /// Settles everything: the session is over.
    pub(in crate::transports) fn settle_all(&self) {
        self.take(|_| true).into_iter().for_each(Question::settle);
    }

    fn take(&self, is_meant: impl Fn(&Question) -> bool) -> Vec<Question> {
        self.0.lock().extract_if(.., |question| is_meant(question)).collect()
    }
}

impl Question {
    fn settle(self) {
        self.is_settled.store(true, Ordering::Release);
        self.withdrawn.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(id: u64, call: Option<u64>) -> (Question, CancellationToken, Arc<AtomicBool>) {
        let (withdrawn, is_settled) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let question =
            Question { id: id.into(), call, withdrawn: withdrawn.clone(), is_settled: is_settled.clone() };
        (question, withdrawn, is_settled)
    }

    #[test]
    fn each_end_reaches_its_own_questions() {
        let questions = Questions::default();
        let (first, first_withdrawn, first_settled) = question(1, Some(7));
        let (second, second_withdrawn, second_settled) = question(2, Some(8));
        let (third, third_withdrawn, _) = question(3, None);
        for question in [first, second, third] {
            assert_eq!(questions.enter(question), Entered::Open);
        }
        questions.withdraw_call(7);
        assert!(first_withdrawn.is_cancelled() && !first_settled.load(Ordering::Relaxed));
        questions.settle_call(8);
        assert!(second_withdrawn.is_cancelled() && second_settled.load(Ordering::Relaxed));
        questions.take_back(&9.into());
        assert!(!third_withdrawn.is_cancelled());
        questions.take_back(&3.into());
        assert!(third_withdrawn.is_cancelled());
    }

    #[test]
    fn questions_are_bounded_and_unlike() {
        let questions = Questions::default();
        for id in 0..MAX_OPEN {
            assert_eq!(questions.enter(question(id as u64, None).0), Entered::Open);
        }
        assert_eq!(questions.enter(question(1_000, None).0), Entered::Full);
        assert_eq!(questions.enter(question(6, None).0), Entered::Again);
        questions.take_back(&5.into());
        assert_eq!(questions.enter(question(1_000, None).0), Entered::Open);
    }
}

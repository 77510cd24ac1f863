//! A call on its way back: events are screened, judged and recorded, one by one.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use domain::ServerId;
use guardrails::Cleared;
use policy::Permit;
use protocol::{Era, MethodRow};
use tokio_util::sync::CancellationToken;
use upstream::{CallError, Event, Payload, Reply, ResultStream};

use super::{
    cached::Reading,
    deadline::Deadline,
    gathering::{Gathered, Gathering, JUDGED_BYTES},
    own_tasks::{self, Listed},
    state::Sealing,
};
use crate::{
    admission::Admission,
    error::{Asked, Failure, shown},
    logs::Wish,
    observe::Record,
    result_kind::{Expected, ResultKind},
    session::Session,
    tasks::Tasks,
    uris::Renaming,
};

const PROGRESS: &str = "notifications/progress";

/// A call whose answer is on its way. Dropping it cancels the call at the upstream and ends its record.
pub(crate) struct Running {
    pub(super) admission: Admission,
    pub(super) row: &'static MethodRow,
    pub(super) permit: Permit,
    pub(super) reply: Reply,
    pub(super) deadline: Deadline,
    pub(super) shutdown: CancellationToken,
    pub(super) record: Option<Record>,
    pub(super) logs: Wish,
    pub(super) expected: Expected,
    pub(super) tasks: Arc<Tasks>,
    pub(super) listed: Listed,
    pub(super) sealing: Option<Sealing>,
    pub(super) reading: Option<Reading>,
    pub(super) asked: Option<Arc<Asked>>,
    /// What has arrived of a result that must be judged as a whole.
    pub(super) gathering: Option<Gathering>,
}

impl Running {
    /// Waits for the next event, screened. After a final one the call is over. Cancel safe.
    ///
    /// # Errors
    /// [`Failure`], recorded; the call is over then as well.
    pub(crate) async fn next(&mut self) -> Result<Cleared<Event>, Failure> {
        let event = self.wanted_event().await;
        match &event {
            Ok(event) => self.note(event.get()),
            Err(failure) => self.fail(failure),
        }
        event.map_err(|failure| failure.asked(self.asked.as_ref()))
    }

    /// Returns the era of the upstream that answers.
    pub(crate) const fn upstream_era(&self) -> Era {
        self.reply.era()
    }

    /// Returns the era of the client that asked.
    pub(crate) fn client_era(&self) -> Era {
        self.admission.era()
    }

    /// Returns the method that was called.
    pub(crate) const fn row(&self) -> &'static MethodRow {
        self.row
    }

    /// Returns the server that is called.
    pub(crate) fn server(&self) -> &ServerId {
        &self.permit.subject().server
    }

    /// Returns how the client is shown the resources that the result names; `None` where by the server's own URIs.
    pub(crate) fn renaming(&self) -> Option<Renaming<'_>> {
        let (catalog, view) = (&self.admission.world().catalog, self.admission.view());
        Renaming::of(catalog, view, &self.permit.subject().server, self.row.routing)
    }

    /// Makes the failure of a result that is larger than the client's door can carry.
    pub(crate) fn too_large(&self, limit: usize) -> Failure {
        let too_large = CallError::TooLarge { server: self.permit.subject().server.clone(), limit };
        Failure::Upstream(too_large).asked(self.asked.as_ref())
    }

    /// Ends the record of a result that was passed on while it arrived.
    pub(crate) fn returned(&mut self, result_bytes: u64) {
        if let Some(record) = self.record.take() {
            record.returned(result_bytes);
        }
    }

    /// Ends the record of a call that failed after its reply began.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        if let Some(record) = self.record.take() {
            record.failed(failure);
        }
    }

    /// Waits until the next chunk of a large result, within the call's time.
    ///
    /// # Errors
    /// [`Failure`], recorded; the client has an incomplete answer then and must be told by a broken connection.
    pub(crate) async fn next_chunk(&mut self, stream: &mut ResultStream) -> Result<Option<Bytes>, Failure> {
        self.deadline.extend();
        let server = &self.permit.subject().server;
        let chunk = self.deadline.bound(server, &self.shutdown, pin!(stream.next_chunk())).await;
        let chunk = chunk.and_then(|chunk| chunk.transpose().map_err(Failure::from));
        chunk.map_err(|failure| {
            self.fail(&failure);
            failure.asked(self.asked.as_ref())
        })
    }

    async fn wanted_event(&mut self) -> Result<Cleared<Event>, Failure> {
        loop {
            let event = self.whole_event().await?;
            self.keep(event.get());
            let kind = self.check_kind(event.get())?;
            if !self.is_wanted(event.get()) {
                continue;
            }
            if let Some(event) = self.unless_refused(event) {
                return match kind {
                    ResultKind::InputRequired => self.sealed(event),
                    _ => own_tasks::only(&self.tasks, &self.admission, self.listed, &self.permit, event),
                };
            }
        }
    }

    /// Waits for the next event; a result that must be judged as a whole is collected. Cancel safe: what has arrived of
    /// it stays.
    async fn whole_event(&mut self) -> Result<Cleared<Event>, Failure> {
        if self.gathering.is_none() {
            let subject = self.permit.subject();
            let event =
                self.deadline.bound(&subject.server, &self.shutdown, pin!(self.reply.next())).await??;
            let event = self.admission.world().configured.guardrails.screen_result(subject, event)?;
            if !self.must_be_whole() {
                return Ok(event);
            }
            match Gathering::begin(event) {
                Ok(gathering) => {
                    self.gathering = Some(gathering);
                    self.deadline.extend();
                }
                Err(event) => return Ok(event),
            }
        }
        self.gathered().await
    }

    /// Tells whether a result of this call is judged as a whole: a question back, a task, a list of tasks.
    fn must_be_whole(&self) -> bool {
        self.listed == Listed::OwnTasks || (self.upstream_era() == Era::Modern && self.expected.is_open())
    }

    async fn gathered(&mut self) -> Result<Cleared<Event>, Failure> {
        loop {
            let Some(gathering) = &mut self.gathering else { return Err(Failure::Internal) };
            let server = &self.permit.subject().server;
            let chunk = {
                let next = pin!(gathering.stream().next_chunk());
                self.deadline.bound(server, &self.shutdown, next).await?.transpose()?
            };
            self.deadline.extend();
            match self.gathering.take().map(|gathering| gathering.take(chunk)) {
                Some(Gathered::Partly(gathering)) => self.gathering = Some(gathering),
                Some(Gathered::Streamed(_)) if self.listed == Listed::OwnTasks => {
                    return Err(self.too_large(JUDGED_BYTES));
                }
                Some(Gathered::Whole(event) | Gathered::Streamed(event)) => return Ok(event),
                None => return Err(Failure::Internal),
            }
        }
    }

    /// Progress gives the call more time; a final answer ends its record, unless it is still arriving.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Notification { method, .. } if &**method == PROGRESS => self.deadline.extend(),
            Event::Request(request) => self.deadline.wait_for(request.settled().clone()),
            Event::Notification { .. } | Event::Result(Payload::Streamed(_)) => {}
            Event::Result(Payload::Whole(result)) => {
                if let Some(record) = self.record.take() {
                    record.answered(result);
                }
            }
            Event::Error(error) => {
                if let Some(record) = self.record.take() {
                    record.refused_by_server(error);
                }
            }
        }
    }

    /// A log message that the client does not want is dropped.
    fn is_wanted(&self, event: &Event) -> bool {
        match event {
            Event::Notification { method, params } if &**method == "notifications/message" => {
                self.logs.takes(params.as_deref())
            }
            Event::Notification { .. } | Event::Request(_) | Event::Result(_) | Event::Error(_) => true,
        }
    }

    /// A server's request is refused when the client did not declare that it can be asked this.
    fn unless_refused(&self, event: Cleared<Event>) -> Option<Cleared<Event>> {
        let Event::Request(request) = event.get() else { return Some(event) };
        let session = self.session()?;
        // Dropped, the request is refused; this says so in the words of a client.
        if session.capabilities().allow_request(request.method(), request.params()) {
            return Some(event);
        }
        if let Event::Request(request) = event.into_inner() {
            request.refuse();
        }
        None
    }

    /// Returns the legacy client's session.
    pub(crate) fn session(&self) -> Option<&Arc<Session>> {
        self.admission.client().session.as_ref()
    }

    /// Keeps a result that its server says stays as it is.
    fn keep(&self, event: &Event) {
        if let Some(reading) = self.reading.as_ref().filter(|_| self.upstream_era() == Era::Modern) {
            reading.keep(event);
        }
    }

    /// Seals the state in a question back, if that is to be.
    fn sealed(&self, event: Cleared<Event>) -> Result<Cleared<Event>, Failure> {
        let sealed = match (&self.sealing, event.get()) {
            (Some(sealing), Event::Result(Payload::Whole(result))) => sealing.sealed(&self.permit, result)?,
            _ => None,
        };
        Ok(match sealed {
            Some(result) => event.map(|_| Event::Result(Payload::Whole(result))),
            None => event,
        })
    }

    /// Refuses a result of a kind that the client cannot take, and remembers whose a new task is.
    fn check_kind(&self, event: &Event) -> Result<ResultKind, Failure> {
        let Event::Result(Payload::Whole(result)) = event else { return Ok(ResultKind::Complete) };
        let server = || self.permit.subject().server.clone();
        match self.expected.judge(result, self.upstream_era()) {
            kind @ (ResultKind::Complete | ResultKind::InputRequired) => Ok(kind),
            ResultKind::Task(id) => {
                self.tasks.enter(self.admission.owner().key(), &server(), &id);
                Ok(ResultKind::Task(id))
            }
            // A legacy client cannot take a question back as a result.
            ResultKind::Foreign(kind) if kind == "input_required" && self.client_era() == Era::Legacy => {
                Err(Failure::NeedsInput { server: server() })
            }
            ResultKind::Foreign(kind) => {
                let what = format!("its result is of the kind `{}`, which nobody agreed on", shown(&kind));
                Err(Failure::Upstream(CallError::Protocol { server: server(), what }))
            }
        }
    }
}

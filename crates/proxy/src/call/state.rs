//! The state that an upstream gives its caller to bring back, on its way through a call. When it is sealed is decided
//! here; how is in `request_state.rs`.

use std::sync::Arc;

use bytes::Bytes;
use policy::Permit;
use protocol::{Edit, Era, MethodRow, Object, Params, splice};
use serde_json::json;
use upstream::CallError;

use crate::{
    Proxy,
    admission::Admission,
    error::Failure,
    request_state::{BadState, Bond, RequestStates},
    tasks::Company,
};

/// The member that carries it.
const STATE: &str = "requestState";

/// Seals the states that come back in answer to one call.
pub(super) struct Sealing {
    row: &'static MethodRow,
    params: Params,
    states: Arc<RequestStates>,
}

impl Sealing {
    /// Returns what seals the states of this call. Where callers have tokens they are several principals at upstreams
    /// that see one credential; the states of a caller who is the only one there is stay as they are.
    pub(super) fn of(
        proxy: &Proxy,
        admission: &Admission,
        row: &'static MethodRow,
        params: &Params,
    ) -> Option<Self> {
        let is_shared = row.may_require_input
            && admission.era() == Era::Modern
            && admission.company(&proxy.identity) == Company::Others;
        let states = || Arc::clone(&proxy.request_states);
        is_shared.then(|| Self { row, params: params.clone(), states: states() })
    }

    /// Returns the call's parameters with the state opened that the caller brings back.
    ///
    /// # Errors
    /// [`Failure::State`] when the caller was not given it for this call.
    pub(super) fn opened(&self, permit: &Permit) -> Result<Params, Failure> {
        if !self.params.has(STATE) {
            return Ok(self.params.clone());
        }
        // What is no string was not sealed here, and a server may take it for another's state.
        let sealed = self.params.string(STATE).ok_or(BadState)?;
        let state = self.states.open(&self.bond(permit), &sealed)?;
        Ok(self.params.with_member(STATE, json!(state).to_string().as_bytes(), self.row))
    }

    /// Returns a result with its state sealed; `None` if it has none.
    ///
    /// # Errors
    /// [`Failure::Internal`] without randomness; [`CallError::Protocol`] when the state is no string.
    pub(super) fn sealed(&self, permit: &Permit, result: &Bytes) -> Result<Option<Bytes>, Failure> {
        let Ok(object) = Object::parse(result, &[STATE]) else { return Ok(None) };
        let is_there = object.get(STATE).is_some_and(|text| text != "null");
        let Some(at) = object.span(STATE).filter(|_| is_there) else { return Ok(None) };
        let state = object.string(STATE).ok_or_else(|| CallError::Protocol {
            server: permit.subject().server.clone(),
            what: "its `requestState` is no string".to_owned(),
        })?;
        let sealed = self.states.seal(&self.bond(permit), &state).map_err(|_| Failure::Internal)?;
        let sealed = json!(sealed).to_string();
        let mut changed = Vec::with_capacity(result.len() + sealed.len());
        splice(&mut changed, result, &[Edit { at, with: sealed.as_bytes() }]);
        Ok(Some(changed.into()))
    }

    fn bond<'a>(&'a self, permit: &'a Permit) -> Bond<'a> {
        let (principal, server) = (permit.principal(), &permit.subject().server);
        Bond { principal, server, method: self.row.name, params: &self.params }
    }
}

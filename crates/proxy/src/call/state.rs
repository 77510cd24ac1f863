//! The state that an upstream gives its caller to bring back, on its way through a call. When it is sealed is decided
//! here; how is in `request_state.rs`.

use std::sync::Arc;

use bytes::Bytes;
use policy::Permit;
use protocol::{Edit, Era, MethodRow, Object, Params, splice};
use serde_json::json;

use crate::{
    Proxy,
    admission::Admission,
    error::Failure,
    request_state::{Bond, RequestStates},
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
    /// Returns what seals the states of this call. Callers with tokens are several principals at upstreams that see one
    /// credential; a caller without is the only one there is, and its states stay as they are.
    pub(super) fn of(
        proxy: &Proxy,
        admission: &Admission,
        row: &'static MethodRow,
        params: &Params,
    ) -> Option<Self> {
        let is_shared =
            row.may_require_input && admission.era() == Era::Modern && admission.principal().token.is_some();
        let states = || Arc::clone(&proxy.request_states);
        is_shared.then(|| Self { row, params: params.clone(), states: states() })
    }

    /// Returns the call's parameters with the state opened that the caller brings back.
    ///
    /// # Errors
    /// [`Failure::State`] when the caller was not given it for this call.
    pub(super) fn opened(&self, permit: &Permit) -> Result<Params, Failure> {
        let Some(sealed) = self.params.string(STATE) else { return Ok(self.params.clone()) };
        let state = self.states.open(&self.bond(permit), &sealed)?;
        Ok(self.params.with_member(STATE, json!(state).to_string().as_bytes(), self.row))
    }

    /// Returns a result with its state sealed; `None` if it has none.
    ///
    /// # Errors
    /// [`Failure::Internal`] without randomness.
    pub(super) fn sealed(&self, permit: &Permit, result: &Bytes) -> Result<Option<Bytes>, Failure> {
        let Ok(object) = Object::parse(result, &[STATE]) else { return Ok(None) };
        let Some((state, at)) = object.string(STATE).zip(object.span(STATE)) else { return Ok(None) };
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

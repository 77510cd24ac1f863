//! `requestState` of modern upstreams, sealed where several principals share one upstream credential: the upstream
//! cannot tell them apart, so one could go on with what another was asked. Sealed, a state is good for its principal,
//! its upstream and its call alone, and for a limited time (specification 2026-07-28, multi round-trip requests: it is
//! input from an attacker). Nothing is kept of it here.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest::{SHA256, digest},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{PrincipalKey, ServerId};
use protocol::{Object, Params};
use serde_json::Value;

/// How long an answer to a question may take. People are asked, and they have other things to do.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// What a sealed state begins with, so that it is not taken for an upstream's own.
const MARK: &str = "tg1.";
/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of the time at which a state expires.
const EXPIRY_BYTES: usize = 8;
/// Parameters that differ between a call and its repetition.
const CHANGING: [&str; 3] = ["_meta", "inputResponses", "requestState"];

/// Seals and opens states. Its key lives as long as the process: a state does not outlive a restart.
pub struct RequestStates(LessSafeKey);

/// What a state is good for.
pub(crate) struct Bond<'a> {
    /// Who was asked.
    pub(crate) principal: &'a PrincipalKey,
    /// The upstream that asks.
    pub(crate) server: &'a ServerId,
    /// The method of the call.
    pub(crate) method: &'a str,
    /// Its parameters.
    pub(crate) params: &'a Params,
}

/// A state that is not ours, not this caller's, of another call, or too old.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`requestState` is not valid for this call, or has expired")]
pub(crate) struct BadState;

/// The system has no randomness to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

impl RequestStates {
    /// Draws a key.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn new() -> Result<Self, NoRandomness> {
        let mut key = [0; KEY_BYTES];
        getrandom::fill(&mut key).map_err(|_| NoRandomness)?;
        let key = UnboundKey::new(&AES_256_GCM, &key).expect("the key has the algorithm's length");
        Ok(Self(LessSafeKey::new(key)))
    }

    /// Seals a state for the call in `bond`.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub(crate) fn seal(&self, bond: &Bond<'_>, state: &str) -> Result<String, NoRandomness> {
        self.seal_until(bond, state, now() + LIFETIME.as_secs())
    }

    fn seal_until(&self, bond: &Bond<'_>, state: &str, expiry: u64) -> Result<String, NoRandomness> {
        // Drawn at random: 96 bits do not meet again in the life of a process.
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| NoRandomness)?;
        let mut text = expiry.to_be_bytes().to_vec();
        text.extend_from_slice(state.as_bytes());
        let aad = Aad::from(bond.digest());
        let sealed = self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text);
        sealed.expect("a state is shorter than what may be sealed");
        Ok(format!("{MARK}{}", URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat())))
    }

    /// Opens a state that was sealed for the call in `bond`.
    ///
    /// # Errors
    /// [`BadState`].
    pub(crate) fn open(&self, bond: &Bond<'_>, sealed: &str) -> Result<String, BadState> {
        let text = sealed.strip_prefix(MARK).ok_or(BadState)?;
        let mut bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadState)?;
        let (nonce, sealed) = bytes.split_first_chunk_mut::<NONCE_LEN>().ok_or(BadState)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.0.open_in_place(nonce, Aad::from(bond.digest()), sealed).map_err(|_| BadState)?;
        let (expiry, state) = opened.split_first_chunk::<EXPIRY_BYTES>().ok_or(BadState)?;
        if u64::from_be_bytes(*expiry) < now() {
            return Err(BadState);
        }
        std::str::from_utf8(state).map(str::to_owned).map_err(|_| BadState)
    }
}

impl std::fmt::Debug for RequestStates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RequestStates")
    }
}

impl Bond<'_> {
    fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.principal.write_distinct(&mut bytes);
        for part in [self.server.as_str(), self.method] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        write_call(self.params, &mut bytes);
        digest(&SHA256, &bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

/// Writes what a call and its repetition have in common, however the client orders and spaces it.
fn write_call(params: &Params, out: &mut Vec<u8>) {
    let Ok(object) = Object::parse(params.raw(), &[]) else { return };
    let lasting: BTreeMap<&str, &str> = object.iter().filter(|(name, _)| !CHANGING.contains(name)).collect();
    for (name, value) in lasting {
        write_value(&Value::from(name), out);
        match serde_json::from_str(value) {
            Ok(value) => write_value(&value, out),
            // Only numbers beyond every bound; as they were written, then.
            Err(_) => out.extend_from_slice(value.as_bytes()),
        }
    }
}

/// Writes JSON with the members of objects in the order of their names. What policy read is nested 128 deep at most,
/// and so is what `serde_json` reads.
fn write_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            out.push(b'{');
            let sorted: BTreeMap<_, _> = members.iter().collect();
            for (name, value) in sorted {
                out.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
                write_value(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            items.iter().for_each(|item| write_value(item, out));
            out.push(b']');
        }
        plain => {
            out.extend_from_slice(plain.to_string().as_bytes());
            out.push(b',');
        }
    }
}

/// Returns the seconds since 1970; a clock before that is at its beginning.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use domain::{AgentId, AgentSource, Principal, ServerScope};
    use protocol::method;

    use super::*;

    fn principal(name: &str) -> PrincipalKey {
        let (agent, agent_source) = (AgentId::new(name).unwrap(), AgentSource::Launch);
        let (user, roles, token, servers) = (None, Vec::new(), None, ServerScope::All);
        Principal { agent, agent_source, user, roles, token, servers }.key()
    }

    fn params(text: &'static str) -> Params {
        Params::parse(Some(Bytes::from_static(text.as_bytes())), method("tools/call").unwrap()).unwrap()
    }

    const CALL: &str =
        r#"{"name":"x","arguments":{"a":1,"b":[2,{"c":3,"d":4}]},"_meta":{"progressToken":1}}"#;
    const AGAIN: &str = r#"{"requestState":"s","arguments":{ "b":[2,{"d":4,"c":3}],"a":1},"inputResponses":{"k":{}},"name":"x"}"#;

    #[test]
    fn a_state_is_good_for_its_call_alone() {
        let states = RequestStates::new().unwrap();
        let (one, two) = (principal("one"), principal("two"));
        let (here, there) = (ServerId::new("here").unwrap(), ServerId::new("there").unwrap());
        let (call, again, other) =
            (params(CALL), params(AGAIN), params(r#"{"name":"x","arguments":{"a":2}}"#));
        let bond = |principal, server, method, params| Bond { principal, server, method, params };
        let sealed = states.seal(&bond(&one, &here, "tools/call", &call), "upstream's \"own\"").unwrap();
        let open = |bond: &Bond<'_>| states.open(bond, &sealed);
        assert_eq!(open(&bond(&one, &here, "tools/call", &again)).as_deref(), Ok("upstream's \"own\""));
        for foreign in [
            bond(&two, &here, "tools/call", &again),
            bond(&one, &there, "tools/call", &again),
            bond(&one, &here, "prompts/get", &again),
            bond(&one, &here, "tools/call", &other),
        ] {
            assert_eq!(open(&foreign), Err(BadState));
        }
        let elsewhere = RequestStates::new().unwrap();
        assert_eq!(elsewhere.open(&bond(&one, &here, "tools/call", &again), &sealed), Err(BadState));
    }

    #[test]
    fn damaged_and_old_states_are_refused() {
        let states = RequestStates::new().unwrap();
        let (one, here, call) = (principal("one"), ServerId::new("here").unwrap(), params(CALL));
        let bond = Bond { principal: &one, server: &here, method: "tools/call", params: &call };
        let sealed = states.seal(&bond, "state").unwrap();
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            assert_eq!(states.open(&bond, &damaged), Err(BadState), "{damaged}");
        }
        for odd in ["", "state", "tg1.", "tg1.AAAA"] {
            assert_eq!(states.open(&bond, odd), Err(BadState));
        }
        let old = states.seal_until(&bond, "state", now() - 1).unwrap();
        assert_eq!(states.open(&bond, &old), Err(BadState));
    }
}

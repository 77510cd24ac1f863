//! The JSON-RPC envelope, read once and borrowed: members that nobody decides on stay raw bytes.
//! Nothing is validated beyond what is read; this is the floor that a gateway is compared with.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A request or notification.
#[derive(Debug, Deserialize)]
pub struct Request<'a> {
    /// The id as written; absent in a notification.
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    /// The method.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// The parameters as written.
    #[serde(borrow)]
    pub params: Option<&'a RawValue>,
}

/// An answer.
#[derive(Debug, Deserialize)]
pub struct Response<'a> {
    /// The id as written.
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
    /// The result as written.
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    /// The error as written.
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

/// What the stub reads of `params`.
#[derive(Debug, Default, Deserialize)]
pub struct Params<'a> {
    /// The tool's name in `tools/call`.
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    /// The tool's arguments as written.
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    /// The request's metadata as written.
    #[serde(borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

//! The requests of the load generator, built once; per call only the id is written.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    HeaderMap, Method as Verb, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue},
};

use crate::{
    era::{Era, LEGACY_VERSION, MODERN_VERSION},
    headers,
    load::{LoadArgs, LoadError, Method},
};

const CLIENT_INFO: &str = r#"{"name":"bench-load","version":"0.1.0"}"#;
const MODERN_META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
    r#""io.modelcontextprotocol/clientInfo":{"name":"bench-load","version":"0.1.0"},"#,
    r#""io.modelcontextprotocol/clientCapabilities":{}}"#
);
/// What is echoed: a short sentence, as most arguments are.
const ECHO_ARGUMENTS: &str = r#"{"text":"a short text that comes back as it was sent"}"#;

/// Everything that the requests of one run share.
#[derive(Debug, Clone)]
pub struct Script {
    era: Era,
    uri: Uri,
    address: SocketAddr,
    /// Headers of a call without the session.
    headers: HeaderMap,
    /// The body behind the id.
    behind_id: String,
}

impl Script {
    /// Builds the requests that `args` asks for.
    ///
    /// # Errors
    /// Fails when the URL is not `http://ADDRESS:PORT/...` or a value does not fit a header.
    pub fn new(args: &LoadArgs) -> Result<Self, LoadError> {
        let unusable = || LoadError::Unusable(args.url.to_string());
        let authority = args.url.authority().ok_or_else(unusable)?;
        let address = authority.as_str().parse().map_err(|_| unusable())?;
        let path = args.url.path_and_query().ok_or_else(unusable)?;
        Ok(Self {
            era: args.era,
            uri: Uri::from(path.clone()),
            address,
            headers: headers_of(args, authority.as_str())?,
            behind_id: behind_id(args),
        })
    }

    /// Returns the era of the requests.
    pub fn era(&self) -> Era {
        self.era
    }

    /// Returns where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Builds the request with `id`, in `session` if the endpoint opened one.
    pub fn call(&self, id: u64, session: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id}{}"#, self.behind_id);
        self.post(body, self.headers.clone(), session)
    }

    /// Builds the legacy handshake's first request, with the id 0.
    pub fn initialize(&self) -> Request<Full<Bytes>> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY_VERSION}","capabilities":{{}},"clientInfo":{CLIENT_INFO}}}}}"#
        );
        let mut headers = self.headers.clone();
        headers.remove(headers::VERSION);
        self.post(body, headers, None)
    }

    /// Builds the legacy handshake's last message.
    pub fn initialized(&self, session: Option<&HeaderValue>) -> Request<Full<Bytes>> {
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        self.post(body, self.headers.clone(), session)
    }

    fn post(
        &self,
        body: String,
        mut headers: HeaderMap,
        session: Option<&HeaderValue>,
    ) -> Request<Full<Bytes>> {
        if let Some(session) = session {
            headers.insert(headers::SESSION, session.clone());
        }
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Verb::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

fn headers_of(args: &LoadArgs, host: &str) -> Result<HeaderMap, LoadError> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| LoadError::Unusable(text.to_owned()));
    let mut headers = HeaderMap::new();
    headers.insert(HOST, value(host)?);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(headers::JSON));
    headers.insert(ACCEPT, HeaderValue::from_static(headers::ACCEPT_BOTH));
    if let Some(token) = &args.token {
        let mut secret = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| LoadError::Unusable("the token".to_owned()))?;
        secret.set_sensitive(true);
        headers.insert(AUTHORIZATION, secret);
    }
    match args.era {
        Era::Legacy => {
            headers.insert(headers::VERSION, HeaderValue::from_static(LEGACY_VERSION));
        }
        Era::Modern => {
            headers.insert(headers::VERSION, HeaderValue::from_static(MODERN_VERSION));
            headers.insert(headers::METHOD, HeaderValue::from_static(method_name(args.method)));
            if args.method == Method::ToolsCall {
                headers.insert(headers::NAME, value(&args.tool)?);
            }
        }
    }
    Ok(headers)
}

const fn method_name(method: Method) -> &'static str {
    match method {
        Method::ToolsCall => "tools/call",
        Method::ToolsList => "tools/list",
    }
}

fn behind_id(args: &LoadArgs) -> String {
    let mut params = Vec::new();
    if args.method == Method::ToolsCall {
        let name = serde_json::Value::from(args.tool.as_str());
        params.push(format!(r#""name":{name},"arguments":{}"#, arguments_of(args)));
    }
    if args.era == Era::Modern {
        params.push(MODERN_META.to_owned());
    }
    format!(r#","method":"{}","params":{{{}}}}}"#, method_name(args.method), params.join(","))
}

fn arguments_of(args: &LoadArgs) -> String {
    match (args.size, &args.arguments) {
        (Some(size), _) => format!(r#"{{"size":{size}}}"#),
        (None, Some(arguments)) => arguments.clone(),
        (None, None) => ECHO_ARGUMENTS.to_owned(),
    }
}

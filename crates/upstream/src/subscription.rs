//! Keeps a modern server on standard input and output telling us when its lists change: one `subscriptions/listen`
//! that is asked again when it ends. What it brings arrives in the connection's inbox like everything else; over HTTP
//! the transport listens by itself, and legacy servers need not be asked.

use std::{convert::Infallible, future::pending, time::Duration};

use protocol::{Era, Object, code};
use tokio::{sync::Notify, time::sleep};

use crate::{
    handshake::Greeting,
    own_request::{Answer, Asker, answer},
    transports::Connection,
};

/// The pause before an ended subscription is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// Which changes can be asked for: the capability that must be declared with `listChanged`, and the filter's member.
const CHANGES: [(&str, &str); 3] =
    [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")];

/// Keeps the subscription; never returns. Dropped, it ends the subscription. After a gap it signals `changed`, because
/// what happened meanwhile was not heard.
pub(crate) async fn keep(asker: Asker<'_>, greeting: &Greeting, changed: &Notify) -> Infallible {
    let filter = filter(&greeting.capabilities);
    let is_ours = matches!(asker.connection, Connection::Stdio(_)) && greeting.version.era() == Era::Modern;
    if !is_ours || filter.is_empty() {
        return pending().await;
    }
    let params = format!(
        r#"{{"_meta":{},"notifications":{{{}}}}}"#,
        asker.modern_meta(greeting.version),
        filter.join(",")
    );
    loop {
        let ended = match asker.send("subscriptions/listen", params.clone()).await {
            Ok(mut reply) => answer(&mut reply).await,
            Err(error) => Err(error),
        };
        match ended {
            // It does not offer this; its lists are read again when it is started again.
            Ok(Answer::Error(error)) if error.code == code::METHOD_NOT_FOUND => return pending().await,
            // When the connection has ended, whoever polls this notices first.
            Ok(Answer::Error(_) | Answer::Result(_)) | Err(_) => sleep(PAUSE).await,
        }
        changed.notify_one();
    }
}

/// Returns the members of the filter, as JSON text.
fn filter(capabilities: &[u8]) -> Vec<String> {
    let Ok(declared) = Object::parse(capabilities, &[]) else { return Vec::new() };
    let changes = |capability: &str| {
        let settings = Object::parse(declared.get(capability)?.as_bytes(), &[]).ok()?;
        settings.get("listChanged").map(|value| value == "true")
    };
    let wanted = CHANGES.iter().filter(|(capability, _)| changes(capability) == Some(true));
    wanted.map(|(_, member)| format!(r#""{member}":true"#)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_declared_changes_are_asked_for() {
        let check = |capabilities: &str, expected: &[&str]| {
            assert_eq!(filter(capabilities.as_bytes()), expected, "{capabilities}");
        };
        check(
            r#"{"tools":{"listChanged":true},"prompts":{"listChanged":false}}"#,
            &[r#""toolsListChanged":true"#],
        );
        check(
            r#"{"tools":{},"resources":{"subscribe":true,"listChanged":true}}"#,
            &[r#""resourcesListChanged":true"#],
        );
        check("{}", &[]);
        check(r#"{"tools":true}"#, &[]);
    }
}

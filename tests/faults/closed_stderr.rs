//! Nobody reads what the gateway says, because whoever started it closed the pipe: it goes on, with everything it does.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Child;

use crate::gateway::{Place, child};
use crate::limit::{USUAL, eventually, within};

/// Starts a gateway whose stderr is closed, and waits until it runs.
async fn unheard(place: &Place) -> Child {
    let mut command = place.command(&place.serve_arguments());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut gateway = command.spawn().expect("the gateway can be started");
    drop(gateway.stderr.take());
    until(place, "started", 1).await;
    gateway
}

async fn until(place: &Place, event: &str, count: usize) {
    let trail = place.trail();
    eventually(|| async { (trail.events(event).len() >= count).then_some(()) }).await;
}

#[test]
fn reloads_go_on_when_nobody_hears_of_them() {
    within(USUAL, async {
        let place = Place::new(json!({"kept": child(&[])}));
        let mut gateway = unheard(&place).await;
        let good = std::fs::read_to_string(place.file("toolgate.yaml")).expect("it is there");
        std::fs::write(place.file("toolgate.yaml"), "version: 1\nservers: [").expect("writable");
        until(&place, "reload_refused", 1).await;
        std::fs::write(place.file("toolgate.yaml"), good).expect("writable");
        until(&place, "reloaded", 1).await;
        assert_eq!(gateway.try_wait().expect("it can be asked"), None, "it still runs");
    });
}

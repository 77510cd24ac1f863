//! The official clients, each with a server of its own era, through the gateway: over HTTP and stdio, on both sides.
//! The server is that of `tests/fixtures`, on the Rust SDK. Its tools elicit, sample, ask for roots, report progress and
//! log; a call is given up, a resource is updated, the list of tools grows. What is done and must be seen: `features`.
//!
//! All rows come from one test, which prints them as one table; what fails is told in full below it.
//! Clients and servers of different eras are not for here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use features::FEATURES;
use serde_json::{Value, json};
use table::{Row, table};

use crate::driver::{Driver, Era};
use crate::foreign::{self, Listening};
use crate::gateway::Place;
use crate::plan::{Plan, Seen};

mod features;
mod table;

/// Runs that go on side by side; each has three processes.
const SIDE_BY_SIDE: usize = 2;
/// How tools are called behind the gateway.
const PREFIX: &str = "fixture__";

/// The clients and their eras.
const CLIENTS: [(Driver, Era); 8] = [
    (Driver::PythonSdk1, Era::Legacy),
    (Driver::TypescriptSdk1, Era::Legacy),
    (Driver::Rmcp, Era::Legacy),
    (Driver::PythonSdk2, Era::Legacy),
    (Driver::TypescriptSdk2, Era::Legacy),
    (Driver::PythonSdk2, Era::Modern),
    (Driver::TypescriptSdk2, Era::Modern),
    (Driver::Rmcp, Era::Modern),
];

/// One way between two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http,
    Stdio,
}

/// One client, and the two ways to its server.
#[derive(Clone, Copy, Debug)]
struct Run {
    driver: Driver,
    era: Era,
    front: Way,
    back: Way,
}

#[test]
fn official_clients_with_servers_of_their_own_era() {
    let rows = rows(&runs());
    println!("{}", table(&rows));
    let complaints: String = rows.iter().map(Row::complaint).collect();
    assert!(complaints.is_empty(), "{complaints}");
}

fn runs() -> Vec<Run> {
    const WAYS: [(Way, Way); 4] =
        [(Way::Http, Way::Http), (Way::Http, Way::Stdio), (Way::Stdio, Way::Http), (Way::Stdio, Way::Stdio)];
    let run = |(driver, era)| WAYS.map(|(front, back)| Run { driver, era, front, back });
    CLIENTS.into_iter().flat_map(run).collect()
}

/// Does all runs, a few at a time, and returns their rows in the same order.
fn rows(runs: &[Run]) -> Vec<Row> {
    let open = Mutex::new(runs.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let next = || open.lock().expect("nobody panics while it is held").next();
    let work = || {
        while let Some((place, run)) = next() {
            let row = run.row();
            done.lock().expect("nobody panics while it is held").push((place, row));
        }
    };
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(work);
        }
    });
    let mut done = done.into_inner().expect("nobody panics while it is held");
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, row)| row).collect()
}

// === impl Run ===

impl Run {
    fn row(self) -> Row {
        let head = [
            format!("{:?}", self.driver),
            self.era.expected_version().to_owned(),
            self.front.name().to_owned(),
            self.back.name().to_owned(),
        ];
        // Whatever panics here has dropped its gateway, which has printed what it said.
        match catch_unwind(|| self.walk()) {
            Ok((seen, said)) => Row { head, cells: self.cells(&seen), said },
            Err(panic) => {
                let wrong = Some(message(&*panic));
                Row { head, cells: vec![wrong; FEATURES.len()], said: String::new() }
            }
        }
    }

    /// Checks what came of each feature, and the revision; a failure of one hides no other.
    fn cells(self, seen: &Seen) -> Vec<Option<String>> {
        let cell = |check: fn(&Seen, &str)| {
            let checked = catch_unwind(AssertUnwindSafe(|| {
                // Not every SDK tells its revision.
                let revision = seen.protocol_version().unwrap_or(self.era.expected_version());
                assert_eq!(revision, self.era.expected_version());
                check(seen, PREFIX);
            }));
            checked.err().map(|panic| message(&*panic))
        };
        FEATURES.iter().map(|feature| cell(feature.check)).collect()
    }

    /// Starts everything, lets the client do all it does, and returns what it saw and what was said meanwhile.
    fn walk(self) -> (Seen, String) {
        let (entry, _listening) = self.server();
        let place = Place::with_servers(&json!({ "fixture": entry }));
        let plan = FEATURES.iter().fold(Plan::new(), |plan, feature| plan.and((feature.plan)(PREFIX)));
        match self.front {
            Way::Http => {
                let gateway = place.serve();
                let seen = self.driver.run(self.era, &gateway.all(), place.folder(), &plan);
                let said = format!("{}\n{}", seen.said(), gateway.said());
                (seen, said)
            }
            Way::Stdio => {
                let place = place.saying(&["--exposure", "direct"]);
                let seen = self.driver.run(self.era, &place.stdio(), place.folder(), &plan);
                let said = seen.said().to_owned();
                (seen, said)
            }
        }
    }

    /// Returns the server's entry in the configuration, and the server if it is one that listens.
    fn server(self) -> (Value, Option<Listening>) {
        match self.back {
            Way::Http => {
                let listening = Listening::conformance(self.era);
                (listening.entry(), Some(listening))
            }
            Way::Stdio => {
                let words = foreign::conformance(self.era);
                (json!({ "command": words[0], "args": words[1..] }), None)
            }
        }
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Stdio => "stdio",
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

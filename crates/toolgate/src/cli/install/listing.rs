//! `toolgate install --list`: the clients on this machine, their files, and where the gateway is installed.

use std::{env, io, path::Path};

use serde_json::{Value, json};

use super::super::output::{self, Format};
use crate::clients::{self, Client, Machine, Place, Records};

/// One place as it was found.
struct Found {
    client: Client,
    place: Place,
    /// Names of our entries and the number of other servers, or why the file cannot be read.
    contents: Result<(Vec<String>, usize), String>,
}

pub(super) fn print(machine: &Machine<'_>, records: &Records, format: Format) -> io::Result<()> {
    let found = find(machine, records);
    match format {
        Format::Json => output::print_json(&found.iter().map(Found::to_json).collect::<Vec<_>>()),
        Format::Text if found.is_empty() => {
            eprintln!("No client's file was found. `toolgate install CLIENT` makes one.");
            Ok(())
        }
        Format::Text => {
            let heads = ["client", "scope", "installed as", "other servers", "file"];
            output::print(&output::table(&heads, found.iter().map(Found::row).collect()))
        }
    }
}

fn find(machine: &Machine<'_>, records: &Records) -> Vec<Found> {
    let program = env::current_exe().ok();
    let places = Client::ALL
        .iter()
        .flat_map(|client| client.places(machine).into_iter().map(|place| (*client, place)));
    places.filter_map(|(client, place)| look(client, place, records, program.as_deref())).collect()
}

/// Looks into a file; none when there is nothing to say about it.
fn look(client: Client, place: Place, records: &Records, program: Option<&Path>) -> Option<Found> {
    let contents = match clients::read(client, &place) {
        Ok(file) if !file.exists() => return None,
        Ok(file) => {
            let ours = records.installed(&file, program);
            let others = file.servers().iter().filter(|server| !ours.contains(&server.name)).count();
            if place.scope == clients::Scope::Local && ours.is_empty() && others == 0 {
                return None;
            }
            Ok((ours, others))
        }
        Err(error) => Err(error.to_string()),
    };
    Some(Found { client, place, contents })
}

// === impl Found ===

impl Found {
    fn to_json(&self) -> Value {
        let mut json = json!({
            "client": self.client.name(),
            "title": self.client.title(),
            "scope": self.place.scope.name(),
            "path": self.place.path.display().to_string(),
        });
        match &self.contents {
            Ok((ours, others)) => {
                json["installed"] = (!ours.is_empty()).into();
                json["names"] = ours.clone().into();
                json["other_servers"] = (*others).into();
            }
            Err(error) => json["error"] = error.clone().into(),
        }
        json
    }

    fn row(&self) -> Vec<String> {
        let (names, others) = match &self.contents {
            Ok((ours, others)) if ours.is_empty() => ("-".to_owned(), others.to_string()),
            Ok((ours, others)) => (ours.join(" "), others.to_string()),
            Err(_) => ("unreadable".to_owned(), "-".to_owned()),
        };
        let path = self.place.path.display().to_string();
        vec![self.client.title().to_owned(), self.place.scope.name().to_owned(), names, others, path]
    }
}

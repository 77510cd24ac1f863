//! Gathers servers and rules from the files of clients: names without collisions, the same server once, the gateway
//! itself left out.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{super::CliError, placeholders};
use crate::{
    clients::{self, Client, ClientFile, Machine, Place, Scope},
    config::{self, Surroundings},
    writing::{DraftServer, LeftOut, Names, RulesDraft},
};

/// What was found.
#[derive(Debug, Default)]
pub(in crate::cli) struct Gathered {
    pub(in crate::cli) servers: Vec<DraftServer>,
    pub(in crate::cli) rules: Option<RulesDraft>,
    /// Files that something was taken from, as a person reads them.
    pub(in crate::cli) sources: Vec<String>,
    /// Files that were read, of rules among them.
    pub(in crate::cli) read: Vec<PathBuf>,
    pub(in crate::cli) left_out: Vec<LeftOut>,
    /// What else a person should know, as sentences.
    pub(in crate::cli) notes: Vec<String>,
    names: Names,
}

/// Where the written file will be, and what lies around.
pub(in crate::cli) struct Scene<'a> {
    pub(in crate::cli) machine: Machine<'a>,
    /// The folder of the file that is written: relative folders in it begin there.
    pub(in crate::cli) target: &'a Path,
    /// This executable: entries that start it are the gateway itself.
    pub(in crate::cli) program: Option<&'a Path>,
}

/// What kind of file somebody named.
enum Kind {
    Servers(Vec<(Client, Place)>),
    Rules(Value),
}

impl Gathered {
    /// Takes the servers of all files of a client. Tells whether there was any file.
    ///
    /// # Errors
    /// [`CliError`] when a file cannot be read.
    pub(in crate::cli) fn take_client(
        &mut self,
        client: Client,
        scene: &Scene<'_>,
    ) -> Result<bool, CliError> {
        let mut found = false;
        for place in client.places(&scene.machine) {
            let file = clients::read(client, &place)?;
            found |= file.exists();
            if file.exists() {
                self.note_read(&place.path);
            }
            self.take_servers(&file, scene);
        }
        Ok(found)
    }

    /// Takes what a file holds, whoever's it is: servers or rules.
    ///
    /// # Errors
    /// [`CliError`] when it cannot be read, or holds neither.
    pub(in crate::cli) fn take_file(&mut self, path: &Path, scene: &Scene<'_>) -> Result<(), CliError> {
        let path = scene.machine.folder.join(path);
        self.note_read(&path);
        match kind_of(&path, scene)? {
            Kind::Servers(places) => {
                for (client, place) in places {
                    self.take_servers(&clients::read(client, &place)?, scene);
                }
            }
            Kind::Rules(rules) => self.take_rules(&rules, &path, scene)?,
        }
        Ok(())
    }

    /// Takes the rules that belong to the files read so far, unless a file of rules was named: without them everybody
    /// might use what they close.
    ///
    /// # Errors
    /// [`CliError`] when they cannot be read, or several files have different ones.
    pub(in crate::cli) fn take_rules_beside(&mut self, scene: &Scene<'_>) -> Result<(), CliError> {
        if self.rules.is_some() {
            return Ok(());
        }
        for servers in self.read.clone() {
            self.take_rules_of(Some(&servers), scene)?;
        }
        Ok(())
    }

    /// Takes the rules that `serve` would apply to the file of servers.
    ///
    /// # Errors
    /// [`CliError`] when they cannot be read, or other ones were taken.
    pub(in crate::cli) fn take_rules_of(
        &mut self,
        servers: Option<&Path>,
        scene: &Scene<'_>,
    ) -> Result<(), CliError> {
        let Some(rules) = config::find_rules(None, servers, &scene.surroundings()) else { return Ok(()) };
        let rules = scene.machine.folder.join(rules);
        if self.read.iter().any(|read| config::same_file(read, &rules)) {
            return Ok(());
        }
        let read = read_as(Client::ClaudeCode, &rules, scene)?.root().to_json();
        self.note_read(&rules);
        self.take_rules(&read, &rules, scene)
    }

    /// Says of rules beside the files read so far that they are not taken.
    pub(in crate::cli) fn note_rules_beside(&mut self, scene: &Scene<'_>) {
        let around = scene.surroundings();
        let found = self.read.iter().filter_map(|servers| config::find_rules(None, Some(servers), &around));
        let mut rules: Vec<PathBuf> = found.map(|rules| scene.machine.folder.join(rules)).collect();
        rules.sort();
        rules.dedup();
        let note = |rules: &PathBuf| {
            let rules = shown(rules, scene);
            format!(
                "The rules in {rules} are not taken: the answers given here decide. `toolgate import` takes them."
            )
        };
        self.notes.extend(rules.iter().map(note));
    }

    /// Returns which files were read, as a person reads them.
    pub(in crate::cli) fn shown_read(&self, scene: &Scene<'_>) -> Vec<String> {
        self.read.iter().map(|path| shown(path, scene)).collect()
    }

    fn note_read(&mut self, path: &Path) {
        if !self.read.iter().any(|read| read == path) {
            self.read.push(path.to_owned());
        }
    }

    fn take_servers(&mut self, file: &ClientFile, scene: &Scene<'_>) {
        let origin = origin(file, scene);
        let (client, ours) = (file.client(), file.ours(scene.program));
        let folder = folder_of(file, scene);
        let mut taken = 0;
        for mut server in file.servers() {
            if ours.contains(&server.name) {
                self.notes
                    .push(format!("`{}` of {origin} is Toolgate itself, and is not taken.", server.name));
                continue;
            }
            if let Some(description) = description(file, &server.name) {
                server.json["description"] = description.into();
            }
            placeholders::replace(&mut server.json, folder.unwrap_or(scene.machine.folder));
            let folder = folder.filter(|folder| *folder != scene.target);
            match DraftServer::adopt(&server.name, &server.json, &origin, folder) {
                Ok(server) => {
                    self.take_server(server, client.name());
                    taken += 1;
                }
                Err(left_out) => self.left_out.push(left_out),
            }
        }
        if taken > 0 && !self.sources.contains(&origin) {
            self.sources.push(origin);
        }
    }

    fn take_server(&mut self, mut server: DraftServer, suffix: &str) {
        if let Some(same) = self.servers.iter().find(|taken| taken.is_same(&server)) {
            self.notes.push(format!(
                "`{}` of {} is the same as `{}`, and is written once.",
                server.name, server.origin, same.name
            ));
            return;
        }
        let name = self.names.take(&server.name, suffix);
        if name != server.name {
            self.notes.push(format!(
                "`{}` of {} becomes `{name}`: there is another server of that name.",
                server.name, server.origin
            ));
            server.name = name;
        }
        self.servers.push(server);
    }

    fn take_rules(&mut self, rules: &Value, path: &Path, scene: &Scene<'_>) -> Result<(), CliError> {
        let shown = shown(path, scene);
        if let Some(first) = self.rules.as_ref().and_then(|rules| rules.origin.as_ref()) {
            let problem = format!(
                "two files of rules, {first} and {shown}: rules are taken from one (name it among the files)"
            );
            return Err(CliError::Gateway(problem));
        }
        let draft = RulesDraft::adopt(rules, &shown);
        let draft =
            draft.map_err(|fault| CliError::Gateway(format!("the rules in {shown} are refused: {fault}")))?;
        self.sources.push(shown);
        self.rules = Some(draft);
        Ok(())
    }
}

impl Scene<'_> {
    /// What surrounds the program, for whoever looks for configurations in it. No state is looked for.
    pub(in crate::cli) const fn surroundings(&self) -> Surroundings<'_> {
        let Machine { folder, variable, .. } = self.machine;
        Surroundings { folder, variable, program: self.program, state_dir: folder }
    }
}

/// What agents are told of a server: agent-mcp-gateway's key, which the clients' common form lacks.
fn description(file: &ClientFile, name: &str) -> Option<String> {
    let servers = &file.root().entry(&file.place().key())?.value;
    let description = servers.entry(name)?.value.entry("description")?.value.to_json();
    description.as_str().map(str::to_owned)
}

/// Finds out whose file it is: by its place, else by what stands in it.
fn kind_of(path: &Path, scene: &Scene<'_>) -> Result<Kind, CliError> {
    let known: Vec<_> = Client::ALL
        .iter()
        .flat_map(|client| client.places(&scene.machine).into_iter().map(|place| (*client, place)))
        .filter(|(_, place)| place.path == path)
        .collect();
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml")) {
        let file = read_as(Client::Codex, path, scene)?;
        return Ok(Kind::Servers(vec![(Client::Codex, file.place().clone())]));
    }
    let file = read_as(Client::ClaudeCode, path, scene)?;
    if !known.is_empty() {
        return Ok(Kind::Servers(known));
    }
    let has = |key: &str| file.root().entry(key).is_some();
    let by_key =
        [("mcpServers", Client::ClaudeCode), ("servers", Client::VsCode), ("context_servers", Client::Zed)];
    match by_key.into_iter().find(|(key, _)| has(key)) {
        Some((_, client)) => Ok(Kind::Servers(vec![(client, place_at(client, path, scene))])),
        None if has("agents") || has("defaults") => Ok(Kind::Rules(file.root().to_json())),
        None => Err(CliError::Gateway(format!(
            "{} holds neither servers (`mcpServers`) nor rules (`agents`)",
            shown(path, scene)
        ))),
    }
}

fn read_as(client: Client, path: &Path, scene: &Scene<'_>) -> Result<ClientFile, CliError> {
    let file = clients::read(client, &place_at(client, path, scene))?;
    if file.exists() {
        return Ok(file);
    }
    Err(CliError::Gateway(format!("there is no file {}", shown(path, scene))))
}

/// A place of the client's, at another path: a file that somebody named is read as if it stood there.
fn place_at(client: Client, path: &Path, scene: &Scene<'_>) -> Place {
    let mut places = client.places(&scene.machine);
    let mut place = places.swap_remove(0);
    path.clone_into(&mut place.path);
    place
}

/// Where relative folders of a file begin; none where it depends on how the client was started.
fn folder_of<'a>(file: &'a ClientFile, scene: &Scene<'a>) -> Option<&'a Path> {
    let place = file.place();
    let is_its_own = file.client().places(&scene.machine).iter().any(|known| known.path == place.path);
    match (is_its_own, place.scope) {
        (true, Scope::User) => None,
        (true, Scope::Project | Scope::Local) => Some(scene.machine.folder),
        (false, _) => place.path.parent(),
    }
}

fn origin(file: &ClientFile, scene: &Scene<'_>) -> String {
    let place = file.place();
    let path = shown(&place.path, scene);
    let is_its_own = file.client().places(&scene.machine).iter().any(|known| known.path == place.path);
    match (is_its_own, place.scope) {
        (true, Scope::User) => format!("{} ({path})", file.client()),
        (true, Scope::Project) => path,
        (true, Scope::Local) => format!("{} for this folder ({path})", file.client()),
        (false, _) => path,
    }
}

/// Writes a path as a person would: from the working directory, or from the home folder.
pub(in crate::cli) fn shown(path: &Path, scene: &Scene<'_>) -> String {
    let from = |folder: &Path, sign: &str| {
        let rest = path.strip_prefix(folder).ok()?.components().collect::<PathBuf>();
        Some(PathBuf::from(sign).join(rest).display().to_string())
    };
    let (folder, home) = (scene.machine.folder, scene.machine.home);
    from(folder, "").or_else(|| from(home, "~")).unwrap_or_else(|| path.display().to_string())
}

//! Where clients keep their servers, per operating system. The facts are a table; nothing here touches a disk.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::client::Client;

/// Whom an entry serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Scope {
    /// You, in every folder
    #[default]
    User,
    /// Everybody, in this folder
    Project,
    /// You, in this folder (Claude Code only)
    Local,
}

/// An operating system, as far as files lie elsewhere on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux, and everything else that follows the XDG folders.
    Linux,
    /// macOS.
    MacOs,
}

/// What places depend on. Given as a value, so that tests need no real environment.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// The person's home folder.
    pub home: &'a Path,
    /// The project: the working directory.
    pub folder: &'a Path,
    /// Looks up an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The operating system.
    pub system: System,
}

/// One place where a client looks for servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file. It need not exist.
    pub path: PathBuf,
    /// Whom its entries serve.
    pub scope: Scope,
    /// The keys from the root of the file down to the map of servers.
    pub(super) keys: Vec<String>,
}

// === impl Scope ===

impl Scope {
    /// Returns the name that is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Project => "project",
            Self::Local => "local",
        }
    }
}

// === impl System ===

impl System {
    /// Returns the system we run on.
    pub const fn current() -> Self {
        if cfg!(target_os = "macos") { Self::MacOs } else { Self::Linux }
    }
}

// === impl Machine ===

impl Machine<'_> {
    /// The folder that a variable names, if it names one that could be meant.
    fn named(&self, variable: &str) -> Option<PathBuf> {
        (self.variable)(variable).map(PathBuf::from).filter(|folder| folder.is_absolute())
    }

    fn xdg_config(&self) -> PathBuf {
        self.named("XDG_CONFIG_HOME").unwrap_or_else(|| self.home.join(".config"))
    }

    /// Where desktop programs keep their settings.
    fn application_settings(&self) -> PathBuf {
        match self.system {
            System::Linux => self.xdg_config(),
            System::MacOs => self.home.join("Library/Application Support"),
        }
    }

    /// Zed follows the XDG folders on Linux alone, and keeps `~/.config` on macOS.
    fn zed_settings(&self) -> PathBuf {
        match self.system {
            System::Linux => self.xdg_config(),
            System::MacOs => self.home.join(".config"),
        }
    }
}

// === impl Place ===

impl Place {
    fn new(client: Client, scope: Scope, path: PathBuf) -> Self {
        Self { path, scope, keys: vec![client.servers_key().to_owned()] }
    }

    /// Returns the key that holds the map of servers, as a person reads it.
    pub fn key(&self) -> String {
        self.keys.join(".")
    }
}

// === impl Client ===

impl Client {
    /// Returns the places where this client looks, the person's own first. None of them need exist.
    pub fn places(self, machine: &Machine<'_>) -> Vec<Place> {
        let mut places = vec![Place::new(self, Scope::User, self.user_file(machine))];
        if self == Self::ClaudeCode {
            let project = machine.folder.display().to_string();
            let mut local = places[0].clone();
            local.scope = Scope::Local;
            local.keys = vec!["projects".to_owned(), project, self.servers_key().to_owned()];
            places.push(local);
        }
        let project = self.project_file().map(|file| machine.folder.join(file));
        places.extend(project.map(|path| Place::new(self, Scope::Project, path)));
        places
    }

    fn user_file(self, machine: &Machine<'_>) -> PathBuf {
        let home = machine.home;
        match self {
            // The variable moves the whole folder, and the file with it.
            Self::ClaudeCode => {
                machine.named("CLAUDE_CONFIG_DIR").unwrap_or_else(|| home.to_owned()).join(".claude.json")
            }
            Self::ClaudeDesktop => machine.application_settings().join("Claude/claude_desktop_config.json"),
            Self::Cursor => home.join(".cursor/mcp.json"),
            Self::VsCode => machine.application_settings().join("Code/User/mcp.json"),
            Self::Windsurf => home.join(".codeium/windsurf/mcp_config.json"),
            Self::Codex => {
                machine.named("CODEX_HOME").unwrap_or_else(|| home.join(".codex")).join("config.toml")
            }
            Self::GeminiCli => home.join(".gemini/settings.json"),
            Self::Zed => machine.zed_settings().join("zed/settings.json"),
        }
    }

    const fn project_file(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some(".mcp.json"),
            Self::Cursor => Some(".cursor/mcp.json"),
            Self::VsCode => Some(".vscode/mcp.json"),
            Self::Codex => Some(".codex/config.toml"),
            Self::GeminiCli => Some(".gemini/settings.json"),
            Self::Zed => Some(".zed/settings.json"),
            Self::ClaudeDesktop | Self::Windsurf => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(client: Client, system: System, variables: &[(&str, &str)], expected: &[&str]) {
        let variable =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let machine = Machine { home: Path::new("/h"), folder: Path::new("/p"), variable: &variable, system };
        let shown = |place: &Place| {
            format!("{} {} {}", place.scope.name(), place.path.display(), place.keys.join("|"))
        };
        assert_eq!(client.places(&machine).iter().map(shown).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn claude_code_has_three_places_in_two_files() {
        let expected = [
            "user /h/.claude.json mcpServers",
            "local /h/.claude.json projects|/p|mcpServers",
            "project /p/.mcp.json mcpServers",
        ];
        check(Client::ClaudeCode, System::Linux, &[], &expected);
        let moved = [("CLAUDE_CONFIG_DIR", "/c")];
        let expected = [
            "user /c/.claude.json mcpServers",
            "local /c/.claude.json projects|/p|mcpServers",
            "project /p/.mcp.json mcpServers",
        ];
        check(Client::ClaudeCode, System::MacOs, &moved, &expected);
    }

    #[test]
    fn desktop_programs_follow_their_system() {
        let desktop = "claude_desktop_config.json mcpServers";
        let linux = format!("user /h/.config/Claude/{desktop}");
        let mac = format!("user /h/Library/Application Support/Claude/{desktop}");
        let moved = format!("user /x/Claude/{desktop}");
        check(Client::ClaudeDesktop, System::Linux, &[], &[&linux]);
        check(Client::ClaudeDesktop, System::Linux, &[("XDG_CONFIG_HOME", "x")], &[&linux]);
        check(Client::ClaudeDesktop, System::Linux, &[("XDG_CONFIG_HOME", "/x")], &[&moved]);
        check(Client::ClaudeDesktop, System::MacOs, &[("XDG_CONFIG_HOME", "/x")], &[&mac]);
        let project = "project /p/.vscode/mcp.json servers";
        check(Client::VsCode, System::Linux, &[], &["user /h/.config/Code/User/mcp.json servers", project]);
        let mac = "user /h/Library/Application Support/Code/User/mcp.json servers";
        check(Client::VsCode, System::MacOs, &[], &[mac, project]);
        let zed = [
            "user /h/.config/zed/settings.json context_servers",
            "project /p/.zed/settings.json context_servers",
        ];
        check(Client::Zed, System::MacOs, &[("XDG_CONFIG_HOME", "/x")], &zed);
        check(Client::Zed, System::Linux, &[], &zed);
    }

    #[test]
    fn folders_in_the_home() {
        for system in [System::Linux, System::MacOs] {
            check(
                Client::Cursor,
                system,
                &[],
                &["user /h/.cursor/mcp.json mcpServers", "project /p/.cursor/mcp.json mcpServers"],
            );
            check(Client::Windsurf, system, &[], &["user /h/.codeium/windsurf/mcp_config.json mcpServers"]);
            check(
                Client::Codex,
                system,
                &[],
                &["user /h/.codex/config.toml mcp_servers", "project /p/.codex/config.toml mcp_servers"],
            );
            check(
                Client::GeminiCli,
                system,
                &[],
                &["user /h/.gemini/settings.json mcpServers", "project /p/.gemini/settings.json mcpServers"],
            );
        }
        let codex = ["user /c/config.toml mcp_servers", "project /p/.codex/config.toml mcp_servers"];
        check(Client::Codex, System::Linux, &[("CODEX_HOME", "/c")], &codex);
    }
}

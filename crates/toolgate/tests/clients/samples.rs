//! Files as people have them: other servers, keys nobody knows, comments where the format has them, uneven layout.

/// One client's file.
pub(crate) struct Sample {
    pub(crate) client: &'static str,
    pub(crate) scope: &'static str,
    /// Below the home folder.
    pub(crate) path: &'static str,
    pub(crate) text: &'static str,
    /// How many servers stand in it.
    pub(crate) servers: usize,
}

const fn sample(
    client: &'static str,
    scope: &'static str,
    path: &'static str,
    servers: usize,
    text: &'static str,
) -> Sample {
    Sample { client, scope, path, text, servers }
}

/// Where desktop programs keep their settings, below the home folder.
#[cfg(target_os = "macos")]
macro_rules! settings {
    ($name:literal) => {
        concat!("Library/Application Support/", $name)
    };
}
#[cfg(not(target_os = "macos"))]
macro_rules! settings {
    ($name:literal) => {
        concat!(".config/", $name)
    };
}

pub(crate) const SAMPLES: [Sample; 12] = [
    sample("claude-code", "user", ".claude.json", 2, CLAUDE_CODE),
    sample("claude-code", "local", ".claude.json", 0, CLAUDE_CODE),
    sample("claude-code", "project", "project/.mcp.json", 1, CLAUDE_CODE_PROJECT),
    sample("claude-desktop", "user", settings!("Claude/claude_desktop_config.json"), 2, CLAUDE_DESKTOP),
    sample("cursor", "user", ".cursor/mcp.json", 2, CURSOR),
    sample("vscode", "user", settings!("Code/User/mcp.json"), 2, VSCODE),
    sample("vscode", "project", "project/.vscode/mcp.json", 2, VSCODE),
    sample("windsurf", "user", ".codeium/windsurf/mcp_config.json", 2, WINDSURF),
    sample("codex", "user", ".codex/config.toml", 2, CODEX),
    sample("gemini-cli", "user", ".gemini/settings.json", 2, GEMINI),
    sample("zed", "user", ".config/zed/settings.json", 2, ZED),
    sample("cursor", "project", "project/.cursor/mcp.json", 0, "{}\n"),
];

/// Finds a sample by its client, for its first scope.
pub(crate) fn of(client: &str) -> &'static Sample {
    SAMPLES.iter().find(|sample| sample.client == client).expect("every client has a sample")
}

const CLAUDE_CODE: &str = r#"{
  "numStartups": 214,
  "installMethod": "native",
  "tipsHistory": { "new-user-warmup": 3, "shift-enter": 99 },
  "projects": {
    "/srv/shop": {
      "allowedTools": [],
      "history": [
        { "display": "why does \"make test\" fail? // see CI", "pastedContents": {} }
      ],
      "mcpServers": {
        "shop-db": { "type": "stdio", "command": "pg-mcp", "args": ["--ro"], "env": { "PGPASSWORD": "hunter2-db" } }
      }
    },
    "/srv/empty": { "mcpServers": {} }
  },
  "mcpServers": {
    "github": {
      "type": "http",
      "url": "https://api.example.com/mcp/",
      "headers": { "Authorization": "Bearer hunter2-github" }
    },
    "files": {
      "type": "stdio",
      "command": "npx",
      "args": ["-y", "@example/files", "/home/ada/notes"],
      "env": {}
    }
  },
  "userID": "6b86b273ff34fce19d6b804eff5a3f57"
}"#;

const CLAUDE_CODE_PROJECT: &str = r#"{
    "mcpServers": {
        "tests": {"command": "uv", "args": ["run", "tests-mcp"], "env": {"CI": "${CI:-0}"}}
    }
}
"#;

const CLAUDE_DESKTOP: &str = r#"{
	"globalShortcut": "Ctrl+Space",
	"mcpServers": {
		"sqlite": {
			"command": "uvx",
			"args": ["mcp-server-sqlite", "--db-path", "/home/ada/a b.db"]
		},
		"weather": { "command": "node",
			"args": [ "/opt/weather/index.js" ],
			"env": { "WEATHER_KEY": "hunter2-weather" } }
	},
	"preferences": { "quickEntry": "off", "sidebarMode": "chat" }
}
"#;

const CURSOR: &str = r#"{
  // Shared with the team, except for the keys
  "mcpServers": {
    "linear": { "url": "https://mcp.example.com/sse", "headers": { "X-Key": "${env:LINEAR_KEY}" } },
    "shell": {
      "command": "shell-mcp", /* pinned */
      "args": [],
      "envFile": ".env",
    },
    // "old": { "command": "old-mcp" },
  },
}
"#;

const VSCODE: &str = r#"{
    "inputs": [
        { "type": "promptString", "id": "gh", "description": "GitHub token", "password": true }
    ],
    "servers": {
        "github": {
            "type": "http",
            "url": "https://api.example.com/mcp/",
            "headers": { "Authorization": "Bearer ${input:gh}" }
        },
        "fetch": {
            "type": "stdio",
            "command": "uvx",
            "args": ["mcp-server-fetch"],
            "dev": { "watch": "src/**/*.py" }
        } // keep this one last
    }
}
"#;

const WINDSURF: &str = r#"{"mcpServers": {
  "figma": {"serverUrl": "https://mcp.example.com/mcp", "headers": {"X-Token": "hunter2-figma"}, "disabledTools": ["x"]},
  "memory": {"command": "npx", "args": ["-y", "@example/memory"], "disabled": true}}}
"#;

const CODEX: &str = r#"# Codex settings
model = "o-large"
approval_policy = "on-request"   # ask first

[mcp_servers.docs]
url = "https://docs.example.com/mcp"
bearer_token_env_var = "DOCS_TOKEN"
http_headers = { "X-Team" = "hunter2-team" }

[mcp_servers."data base"]
command = "pg-mcp"
args = [
    "--ro",   # never write
    "--timeout", "30",
]
startup_timeout_sec = 20

[mcp_servers."data base".env]
PGPASSWORD = "hunter2-pg"

# Profiles stand last
[profiles.quick]
model = "o-small"
notify = ["notify-send", """
[mcp_servers.toolgate]
is no table here"""]
"#;

const GEMINI: &str = r#"{
  "theme": "Default",
  "selectedAuthType": "oauth-personal",
  "mcp": { "allowed": ["search"], "excluded": [ ] },
  "mcpServers": {
    "search": { "httpUrl": "https://search.example.com/mcp", "timeout": 5000, "trust": false },
    "legacy": { "url": "http://127.0.0.1:9000/sse", "includeTools": [ "a" ] }
  },
  "ui": {"hideTips": true}
}
"#;

const ZED: &str = r#"// Zed settings
//
// For information on how to configure Zed, see the documentation.
{
  "theme": {
    "mode": "system",
    "light": "One Light",
    "dark": "One Dark",
  },
  /* Servers */
  "context_servers": {
      "postgres": {
        "source": "custom",
        "command": { "path": "pg-context", "args": ["run"], "env": { "URL": "postgres://ada:hunter2@db/shop" } },
      },
      "remote": { "url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer hunter2-zed"} },
      "from-extension": { "source": "extension", "enabled": true, "settings": {} }, // by the extension
      // end of servers
  },
  "buffer_font_size": 14.5, "vim_mode": false,
}
"#;

//! A draft as `toolgate.yaml`, with comments that say what can be changed.

use super::{Draft, server::DraftServer, yaml};

/// Writes the draft as `toolgate.yaml`.
pub fn toolgate_yaml(draft: &Draft) -> String {
    let mut text = header(draft);
    text.push_str("\nversion: 1\n\n");
    text.push_str(
        "# The MCP servers behind the gateway. In their texts ${NAME} and ${NAME:-default} stand for environment\n\
         # variables; a server whose variable is missing is left out, and the others run.\n",
    );
    text.push_str(if draft.servers.is_empty() { "servers: {}\n" } else { "servers:\n" });
    let mut origin = "";
    for (index, server) in draft.servers.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if server.origin != origin {
            text.push_str(&format!("  # From {}\n", yaml::comment(&server.origin)));
            origin = &server.origin;
        }
        write_server(server, &mut text);
    }
    write_rules(draft, &mut text);
    text.push_str(EXPOSURE);
    text
}

/// Commented out: the defaults are right for most.
const EXPOSURE: &str = "
# How clients see the tools: all of them (direct), or a few tools to find and call them with (discovery, search);
# auto chooses between direct and search by their tokens. These are the defaults:
#
# exposure:
#   stdio: discovery
#   http: direct
";

fn header(draft: &Draft) -> String {
    let command = draft.header.command;
    let mut text = format!("# Configuration of Toolgate, written by `{command}`.\n");
    for source in &draft.header.sources {
        text.push_str(&format!("#   from {}\n", yaml::comment(source)));
    }
    text.push_str(
        "#\n# `toolgate validate` checks it, `toolgate validate --connect` tries every server,\n\
         # `toolgate schema` prints every key that may stand here.\n",
    );
    if draft.holds_secrets() {
        text.push_str(
            "#\n# It holds secrets: keep it out of version control, and readable for yourself alone.\n",
        );
    }
    text
}

fn write_server(server: &DraftServer, text: &mut String) {
    for remark in &server.remarks {
        text.push_str(&format!("  # {}\n", yaml::comment(remark)));
    }
    text.push_str(&format!("  {}:\n", yaml::text(&server.name)));
    server.write("    ", text);
}

fn write_rules(draft: &Draft, text: &mut String) {
    let Some(rules) = &draft.rules else {
        text.push_str(
            "\n# There are no rules: every caller on this machine may use every tool. With rules, a caller gets what\n\
             # its agent is granted, and denials win:\n#\n# rules:\n#   agents:\n#     reviewer:\n#       allow:\n\
             #         servers: [\"*\"]\n#       deny:\n#         tools:\n#           \"*\": [\"delete_*\"]\n",
        );
        return;
    };
    text.push_str(
        "\n# Who may use what. A server must be granted, denials win over grants, and an agent without rules gets\n\
         # nothing. `toolgate policy explain --agent NAME` says what an agent may use, and why.\n",
    );
    for remark in &rules.remarks {
        text.push_str(&format!("# Note: {}\n", yaml::comment(remark)));
    }
    rules.write(text);
}

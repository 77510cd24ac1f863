//! Variables that stand for options.

use super::home::Home;

#[test]
fn a_wrong_value_is_blamed_on_the_variable_that_holds_it() {
    let home = Home::new();
    for (variable, option, command) in [
        ("TOOLGATE_LISTEN", "--listen", &["serve"][..]),
        ("TOOLGATE_OPS_LISTEN", "--ops-listen", &["status"]),
        ("TOOLGATE_COMPAT", "--compat", &["validate"]),
        ("TOOLGATE_STDIO", "--stdio", &["serve"]),
    ] {
        let refused = home.run_with(&[(variable, "never")], command);
        assert_eq!(refused.code, Some(2), "{variable}: {}", refused.errors);
        let first = refused.errors.lines().next().unwrap_or_default();
        assert!(first.contains(variable) && !first.contains(option), "{first}");
    }
    let typed = home.run_with(&[("TOOLGATE_LISTEN", "127.0.0.1:1")], &["serve", "--listen", "never"]);
    assert!(
        typed.errors.contains("--listen") && !typed.errors.contains("TOOLGATE_LISTEN"),
        "{}",
        typed.errors
    );
    let asked = home.run_with(&[("TOOLGATE_LISTEN", "never")], &["policy", "test", "--server", "a"]);
    assert!(asked.code == Some(2) && asked.errors.contains("TOOLGATE_LISTEN"), "{}", asked.errors);
}

#[test]
fn a_switch_takes_the_words_of_agent_mcp_gateway() {
    let home = Home::new();
    // With standard input as a door too, the gateway ends with it.
    let arguments = ["serve", "--listen", "localhost:0", "--ops-listen", "localhost:0"];
    for word in ["yes", "1", "true", "TRUE"] {
        let ended = home.run_with(&[("TOOLGATE_STDIO", word)], &arguments);
        assert_eq!(ended.code, Some(0), "{word}: {}", ended.errors);
        assert!(ended.errors.contains("http://127.0.0.1:"), "{}", ended.errors);
    }
}

#[test]
fn an_address_that_is_none_comes_with_help() {
    let refused = Home::new().ends(2, &["serve", "--listen", "example.com:80"]).errors;
    assert!(refused.contains("write an IP address and a port, for example `127.0.0.1:8787`"), "{refused}");
}

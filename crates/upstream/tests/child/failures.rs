//! Programs that cannot be started: each says why, and nothing is left.

use std::{fs, os::unix::fs::PermissionsExt as _};

use upstream::child::{Command, SpawnError};

use crate::stage::{self, Test, command, script, server};

pub(crate) const TESTS: &[Test] = &[
    ("missing_programs_say_what_to_install", missing_programs_say_what_to_install),
    ("files_that_cannot_run_say_why", files_that_cannot_run_say_why),
    ("missing_directories_are_named", missing_directories_are_named),
    ("programs_are_found_through_the_childs_own_path", programs_are_found_through_the_childs_own_path),
];

fn refusal(command: &Command) -> SpawnError {
    let mut refused = None;
    stage::with_launcher(async |launcher| {
        refused = Some(launcher.spawn(&server(), command).await.expect_err("it must not start"));
    });
    refused.unwrap()
}

fn missing_programs_say_what_to_install() {
    let check = |program: &str, words: &[&str]| {
        let empty_path = script("", &[("PATH", "/nowhere")]).env;
        let refused = refusal(&Command { env: empty_path, ..command(program, &[]) });
        assert!(matches!(refused, SpawnError::ProgramNotFound { .. }), "{refused:?}");
        let text = refused.to_string();
        assert!(text.starts_with(&format!("program `{program}` was not found")), "{text}");
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    check("npx", &["in PATH", "install Node.js"]);
    check("uvx", &["install uv"]);
    check("docker", &["install Docker"]);
    check("python", &["install Python", "python3"]);
    check("surely-not-there", &["in PATH"]);
    check("/nowhere/server", &[]);
    check("./server", &[]);
}

fn files_that_cannot_run_say_why() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, mode: u32, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let plain = refusal(&command(file("plain", 0o644, "#!/bin/sh\n"), &[]));
    assert!(matches!(plain, SpawnError::NotExecutable { .. }), "{plain:?}");
    let strange = refusal(&command(file("strange", 0o755, "#!/nowhere/interpreter\n"), &[]));
    assert!(matches!(strange, SpawnError::InterpreterNotFound { .. }), "{strange:?}");
    assert!(strange.to_string().contains("the interpreter that it names was not"), "{strange}");
    let folder = refusal(&command(directory.path(), &[]));
    assert!(matches!(folder, SpawnError::NotExecutable { .. }), "{folder:?}");
    let nul = refusal(&command("sh", &["a\0b"]));
    assert!(matches!(nul, SpawnError::Arguments), "{nul:?}");
    let variable = refusal(&script("", &[("A=B", "hunter2")]));
    assert!(
        variable.to_string().contains("`A=B`") && !variable.to_string().contains("hunter2"),
        "{variable}"
    );
}

fn missing_directories_are_named() {
    let refused = refusal(&Command { cwd: Some("/nowhere/at/all".into()), ..command("true", &[]) });
    let text = refused.to_string();
    assert!(
        text.starts_with("working directory `/nowhere/at/all` cannot be entered: No such file"),
        "{text}"
    );
}

fn programs_are_found_through_the_childs_own_path() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("only-here");
    fs::write(&program, "#!/bin/sh\nexit 7\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = script("", &[("PATH", directory.path().to_str().unwrap())]).env;
    stage::with_launcher(async |launcher| {
        for start in [
            Command { env: path.clone(), ..command("only-here", &[]) },
            Command { cwd: Some(directory.path().into()), ..command("./only-here", &[]) },
        ] {
            let child = stage::spawn(&launcher, &start).await;
            assert_eq!(child.process.wait().await.to_string(), "exited with code 7");
        }
    });
}

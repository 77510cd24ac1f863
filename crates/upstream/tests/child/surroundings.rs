//! What a child finds around it (S62).

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
};

use crate::{parts, stage::Test};

pub(crate) const TESTS: &[Test] = &[
    (
        "s62_child_finds_what_was_declared_and_nothing_of_ours",
        child_finds_what_was_declared_and_nothing_of_ours,
    ),
    ("children_start_after_our_own_file_was_replaced", children_start_after_our_own_file_was_replaced),
];

/// Has a gateway with secrets in its environment and with leaked descriptors start a child that looks around.
fn surroundings(gateway: &Path, cwd: &Path, before_start: impl FnOnce()) -> BTreeSet<String> {
    let leak = "exec 5</dev/null 9</etc/passwd 7>/dev/null; exec \"$0\" \"$@\"";
    let mut gateway = Command::new("sh")
        .args(["-c", leak])
        .arg(gateway)
        .args([parts::GATEWAY_OF_SHOW, cwd.to_str().unwrap()])
        .env_clear()
        .envs([("PATH", "/usr/bin:/bin"), ("HOME", "/nowhere"), ("LC_TIME", "C"), ("LANG", "sv_SE")])
        .envs([("AWS_SECRET_ACCESS_KEY", "hunter2"), ("OPENAI_API_KEY", "hunter2"), ("LD_DEBUG_X", "1")])
        .env("SHOW_PROGRAM", std::env::current_exe().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(gateway.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(said.next().as_deref(), Some("ready"));
    before_start();
    gateway.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let found = said.collect();
    assert!(gateway.wait().unwrap().success());
    found
}

fn child_finds_what_was_declared_and_nothing_of_ours() {
    let cwd = tempfile::tempdir().unwrap();
    let cwd = cwd.path().canonicalize().unwrap();
    let found = surroundings(&std::env::current_exe().unwrap(), &cwd, || {});
    let expected = [
        "fd 0",
        "fd 1",
        "fd 2",
        "env PATH=/usr/bin:/bin",
        "env HOME=/nowhere",
        "env LC_TIME=C",
        "env LANG=C.UTF-8",
        "env DECLARED=yes",
        &format!("cwd {}", cwd.display()),
        "leads session true",
        "leads group true",
        "terminal false",
        "killed with us true",
    ];
    assert_eq!(found, expected.map(str::to_owned).into());
}

fn children_start_after_our_own_file_was_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let installed = directory.path().join("gateway");
    fs::copy(std::env::current_exe().unwrap(), &installed).unwrap();
    let found = surroundings(&installed, directory.path(), || {
        fs::remove_file(&installed).unwrap();
        fs::write(&installed, "the next version").unwrap();
    });
    assert!(found.contains("env DECLARED=yes"), "{found:?}");
}

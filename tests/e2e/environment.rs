//! Where the gateway's binary and the foreign programs are.
//! `cargo xtask test` says it through the environment; without it the usual places of the workspace are taken.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Returns the gateway's binary.
pub(crate) fn gateway() -> PathBuf {
    present(told("TOOLGATE_BIN", "target/debug/toolgate"))
}

/// Returns the server of `tests/fixtures`, which is built together with the gateway.
pub(crate) fn conformance_server() -> PathBuf {
    present(gateway().with_file_name("conformance-server"))
}

/// Returns the Python interpreter of an environment, `sdk1` or `sdk2`.
pub(crate) fn python(environment: &str) -> PathBuf {
    python_program(environment, "python")
}

/// Returns a program of a Python environment.
pub(crate) fn python_program(environment: &str, program: &str) -> PathBuf {
    present(home().join(environment).join("bin").join(program))
}

/// Returns the Node of the test environment.
pub(crate) fn node() -> PathBuf {
    present(home().join("node/node_modules/.bin/node"))
}

/// Returns a file of an installed Node package.
pub(crate) fn node_file(package: &str, file: &str) -> PathBuf {
    present(home().join("node/node_modules").join(package).join(file))
}

/// Returns a file that stands beside these tests.
pub(crate) fn own_file(path: &str) -> PathBuf {
    present(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
}

/// Returns the folder of the test environment.
pub(crate) fn home() -> PathBuf {
    told("TOOLGATE_TEST_ENV", ".test-env")
}

fn told(variable: &str, usual: &str) -> PathBuf {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a folder of the workspace");
    std::env::var_os(variable).map_or_else(|| workspace.join(usual), PathBuf::from)
}

#[track_caller]
fn present(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "{} is missing: run `cargo xtask test`", path.display());
    path
}

/// Returns a command line's word.
pub(crate) fn word(word: impl AsRef<OsStr>) -> String {
    word.as_ref().to_str().expect("the paths of the test environment are UTF-8").to_owned()
}

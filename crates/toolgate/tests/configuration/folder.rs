//! A folder with files, in which the configuration is loaded; and the answer as text.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use toolgate::config::{Choices, LoadError, Loaded, Surroundings, load};

/// A working directory made for one case.
pub(crate) struct Folder {
    folder: tempfile::TempDir,
    variables: Vec<(String, String)>,
    program: Option<PathBuf>,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, variables: Vec::new(), program: None }
    }

    /// Writes a file.
    pub(crate) fn with(self, name: &str, text: &str) -> Self {
        let file = self.folder.path().join(name);
        fs::create_dir_all(file.parent().expect("it lies in the folder")).expect("writable");
        fs::write(file, text).expect("writable");
        self
    }

    /// Sets an environment variable.
    pub(crate) fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Says which program we are.
    pub(crate) fn with_program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn load(&self) -> Result<Loaded, LoadError> {
        self.load_with(&Choices::default())
    }

    pub(crate) fn load_with(&self, choices: &Choices) -> Result<Loaded, LoadError> {
        let variable = |name: &str| {
            self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let around = Surroundings {
            folder: self.path(),
            variable: &variable,
            program: self.program.as_deref(),
            state_dir: Path::new("/state"),
        };
        load(choices, &around)
    }

    /// Returns everything that a person would be told.
    pub(crate) fn told(&self) -> String {
        self.shown(self.load())
    }

    /// Returns an answer as text, with the temporary folder's name taken out.
    pub(crate) fn shown(&self, answer: Result<Loaded, LoadError>) -> String {
        let mut text = String::new();
        match answer {
            Ok(loaded) => show_loaded(&loaded, &mut text),
            Err(LoadError::Refused { faults, warnings }) => {
                for diagnostic in warnings.iter().chain(&faults) {
                    let _ = writeln!(text, "{diagnostic}\n");
                }
                let _ = writeln!(text, "refused");
            }
            Err(error @ (LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::Peer(_))) => {
                let _ = writeln!(text, "error: {error}");
            }
        }
        text.replace(&self.path().display().to_string(), "[folder]")
    }
}

fn show_loaded(loaded: &Loaded, text: &mut String) {
    for warning in &loaded.warnings {
        let _ = writeln!(text, "{warning}\n");
    }
    for (id, checked) in &loaded.servers {
        match checked {
            Ok(settings) => {
                let _ = writeln!(text, "server {id}: {:?}", settings.transport());
            }
            Err(fault) => {
                for diagnostic in fault.diagnostics() {
                    let _ = writeln!(text, "{diagnostic}\n");
                }
                let _ = writeln!(text, "server {id} is left out: {fault}");
            }
        }
    }
    for id in &loaded.disabled {
        let _ = writeln!(text, "server {id} is switched off");
    }
}

/// Compares what is told about `text` in the file `name` with the snapshot `case`.
pub(crate) fn check(case: &str, name: &str, text: &str) {
    let folder =
        Folder::new().with(name, text).with_variable("TOKEN", "hunter2").with_variable("HOME", "/home/ada");
    let told = folder.told();
    assert!(!told.contains("hunter2"), "a secret is shown: {told}");
    let snapshot = format!("{name}\n\n{}\n\n----------\n\n{told}", text.trim_end());
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "snapshots", omit_expression => true }, {
        insta::assert_snapshot!(case, snapshot);
    });
}

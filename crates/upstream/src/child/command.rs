//! What to start, as the configuration declares it. Nothing is looked up here.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use domain::Secret;

/// A program with its arguments, directory and declared environment.
#[derive(Clone)]
pub struct Command {
    /// The program: a path, or a name to be found in the child's own `PATH`.
    pub program: String,
    /// The arguments after the program's name.
    pub args: Vec<String>,
    /// The working directory; ours if `None`.
    pub cwd: Option<PathBuf>,
    /// Declared variables; they win over the inherited ones.
    pub env: BTreeMap<String, Secret<String>>,
}

/// Shows neither arguments nor values: both may hold what nobody should read in a log.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args.len())
            .field("cwd", &self.cwd)
            .field("env", &self.env.keys())
            .finish()
    }
}

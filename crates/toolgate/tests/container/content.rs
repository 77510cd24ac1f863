//! The image's content as a folder, and programs that run with it as their root, as the image's user if we may
//! choose. `/dev` and `/proc` are this machine's, as an engine would give some; nothing else is reachable.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{PROGRAM, dockerfile::Dockerfile};

/// Makes the folder the root and goes on as the user.
const ENTER: &str =
    r#"mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec unshare --root="$0" "$@""#;

/// What the kernel lets us do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Change the root and the user.
    Root,
    /// Change the root within a user namespace; we are ourselves there.
    Namespace,
    /// Neither: programs run in the folder, and it is not shown that they need nothing else.
    None,
}

pub(crate) struct Content {
    _temporary: tempfile::TempDir,
    root: PathBuf,
    rights: Rights,
    variables: Vec<(String, String)>,
    folder: String,
    user: (u32, u32),
}

pub(crate) struct Serving {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

/// Returns the static binary, when there is one to be tested.
pub(crate) fn image_binary() -> Option<PathBuf> {
    env::var_os("TOOLGATE_IMAGE_BINARY").map(PathBuf::from)
}

/// Returns the program that an executable names for its own loading; a static one names none. ELF, 64 bits, gABI 5.
pub(crate) fn interpreter(binary: &[u8]) -> Option<String> {
    const PT_INTERP: usize = 3;
    let number = |at: usize, bytes: usize| {
        binary[at..at + bytes].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    assert!(binary.starts_with(b"\x7fELF\x02\x01"), "64 bits, little endian");
    let (table, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    let header = (0..count).map(|index| table + index * size).find(|at| number(*at, 4) == PT_INTERP)?;
    let (offset, length) = (number(header + 0x08, 8), number(header + 0x20, 8));
    Some(String::from_utf8_lossy(&binary[offset..offset + length - 1]).into_owned())
}

// === impl Content ===

impl Content {
    pub(crate) fn lay_out(dockerfile: &Dockerfile) -> Self {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let root = temporary.path().join("root");
        let rights = Rights::find();
        eprintln!("the content is run with: {rights:?}");
        for folder in ["", "dev", "proc"] {
            fs::create_dir(root.join(folder)).expect("a new folder");
        }
        let user = dockerfile.user();
        for copy in dockerfile.copies() {
            let target = inside(&root, &copy.target);
            fs::create_dir_all(target.parent().expect("below the root")).expect("folders");
            match copy.source.as_str() {
                "/image/toolgate" => put_program(&root, &target),
                "/image/config" | "/image/state" => fs::create_dir(&target).expect("a new folder"),
                file => drop(fs::copy(file, &target).unwrap_or_else(|error| panic!("{file}: {error}"))),
            }
            if copy.is_owned_by_user {
                fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).expect("ours");
                if rights == Rights::Root {
                    chown(&target, Some(user.0), Some(user.1)).expect("we are root");
                }
            }
        }
        let variables = dockerfile.variables().into_iter().collect();
        let folder = dockerfile.one("WORKDIR").to_owned();
        Self { _temporary: temporary, root, rights, variables, folder, user }
    }

    /// Returns the user that programs run as, if it is the image's.
    pub(crate) fn user(&self) -> Option<u32> {
        (self.rights == Rights::Root).then_some(self.user.0)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Serves on a free port instead of the image's.
    pub(crate) fn serve(&self) -> Serving {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
        let mut child = self.command(&arguments).stderr(Stdio::piped()).spawn().expect("it runs");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        Serving { child, stderr }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.rights {
            Rights::Root => self.entering(&["--mount"]),
            Rights::Namespace => self.entering(&["--map-root-user", "--mount"]),
            Rights::None => Command::new(inside(&self.root, PROGRAM)),
        };
        command.env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        match self.rights {
            Rights::Root | Rights::Namespace => {
                command.env("PATH", env::var_os("PATH").unwrap_or_default());
            }
            Rights::None => {
                command.current_dir(inside(&self.root, &self.folder));
                command.env("TOOLGATE_STATE_DIR", inside(&self.root, super::STATE));
            }
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    fn entering(&self, namespaces: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(namespaces)
            .args(["sh", "-c", ENTER])
            .arg(&self.root)
            .arg(format!("--wd={}", self.folder));
        if self.rights == Rights::Root {
            command.args([format!("--setuid={}", self.user.0), format!("--setgid={}", self.user.1)]);
        }
        command.arg(PROGRAM);
        command
    }
}

impl Rights {
    fn find() -> Self {
        let can = |namespaces: &[&str]| {
            let mut trial = Command::new("unshare");
            trial.args(namespaces).args(["sh", "-c", "mount --rbind /proc /proc"]).stderr(Stdio::null());
            trial.status().is_ok_and(|status| status.success())
        };
        if can(&["--mount"]) {
            Self::Root
        } else if can(&["--map-root-user", "--mount"]) {
            Self::Namespace
        } else {
            Self::None
        }
    }
}

fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn put_program(root: &Path, target: &Path) {
    let Some(image) = image_binary() else {
        let ordinary = Path::new(env!("CARGO_BIN_EXE_toolgate"));
        fs::copy(ordinary, target).expect("copied");
        return libraries(ordinary).iter().for_each(|library| put_library(root, library));
    };
    fs::copy(image, target).expect("copied");
}

/// Returns what an ordinary binary needs to be loaded: no part of the image, where the binary is static.
fn libraries(binary: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(binary).output().expect("ldd is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect()
}

fn put_library(root: &Path, library: &str) {
    let target = inside(root, library);
    fs::create_dir_all(target.parent().expect("below the root")).expect("folders");
    fs::copy(library, target).expect("copied");
}

// === impl Serving ===

impl Serving {
    /// Waits until the gateway says where it listens.
    pub(crate) fn address(&mut self) -> String {
        let mut said = String::new();
        while self.stderr.read_line(&mut said).expect("text") > 0 {
            if let Some((_, rest)) = said.split_once("http://") {
                return rest.split('/').next().expect("an address").to_owned();
            }
        }
        panic!("it ended: {said}")
    }

    /// Returns the user that the gateway runs as.
    pub(crate) fn user(&self) -> u32 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
        line.split_whitespace().next().and_then(|user| user.parse().ok()).expect("a number")
    }

    /// Ends the gateway as an engine does, and returns its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Recognizes a server entry that is this very gateway: connecting to it would go round in circles.
//! Longer circles are stopped by the depth counter that `proxy` and `upstream` pass on.

use std::{
    env,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use upstream::config::{ServerSettings, TransportSettings};
use url::Host;

use super::load::Surroundings;

/// What we are, as an entry could name it.
pub(super) struct Ourselves {
    listen: SocketAddr,
    folder: PathBuf,
    program: Option<PathBuf>,
    search_path: Option<String>,
}

impl Ourselves {
    pub(super) fn new(listen: SocketAddr, around: &Surroundings<'_>) -> Self {
        let program = around.program.and_then(|program| program.canonicalize().ok());
        Self { listen, folder: around.folder.to_owned(), program, search_path: (around.variable)("PATH") }
    }

    /// Returns why `server` is this gateway, if it is.
    pub(super) fn is_meant_by(&self, server: &ServerSettings) -> Option<&'static str> {
        match server.transport() {
            TransportSettings::Child(child) => {
                let folder = child.directory().unwrap_or(&self.folder);
                let is_ours = self.program.is_some() && self.find(child.program(), folder) == self.program;
                is_ours.then_some("its program is this very gateway")
            }
            TransportSettings::Http(http) => {
                let url = http.endpoint().url();
                let port = url.port_or_known_default();
                let is_ours =
                    port == Some(self.listen.port()) && url.host().is_some_and(|host| self.is_host(&host));
                is_ours.then_some("its address is this very gateway's")
            }
            TransportSettings::Builtin(_) => None,
        }
    }

    /// Finds the file that starting `program` would run.
    fn find(&self, program: &str, folder: &Path) -> Option<PathBuf> {
        if program.contains('/') {
            return folder.join(program).canonicalize().ok();
        }
        let folders = env::split_paths(self.search_path.as_deref()?).collect::<Vec<_>>();
        folders.iter().find_map(|folder| folder.join(program).canonicalize().ok())
    }

    fn is_host(&self, host: &Host<&str>) -> bool {
        let address: IpAddr = match host {
            Host::Domain(name) => return name.eq_ignore_ascii_case("localhost") && self.is_on_loopback(),
            Host::Ipv4(address) => (*address).into(),
            Host::Ipv6(address) => (*address).into(),
        };
        address == self.listen.ip() || (address.is_loopback() && self.listen.ip().is_unspecified())
    }

    fn is_on_loopback(&self) -> bool {
        self.listen.ip().is_loopback() || self.listen.ip().is_unspecified()
    }
}

//! A plain nginx in front of the stub: two workers, a keep-alive pool, no access log, all files in a folder of its own.

use std::{fs, io, net::TcpListener, path::Path, time::Duration};

use tokio::process::Command;

use crate::{
    announce, processes,
    scenario::{RunError, parts::Part},
};

const PROGRAM: &str = "nginx";
/// Worker processes, as many as the bare hop has workers.
const WORKERS: usize = 2;
/// How long the master may take to start its workers, in steps.
const START_STEPS: u32 = 200;
const START_STEP: Duration = Duration::from_millis(10);

/// A running nginx.
#[derive(Debug)]
pub(super) struct Nginx {
    /// The master; the workers end with it.
    pub(super) master: Part,
    /// The workers, which do the work.
    pub(super) workers: Vec<u32>,
    /// The endpoint.
    pub(super) endpoint: String,
}

/// Tells whether nginx can be started from the path.
pub(super) fn is_installed() -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(PROGRAM).is_file())
}

/// Starts nginx in front of `upstream`, with its files in `folder`.
pub(super) async fn start(upstream: &str, folder: &Path) -> Result<Nginx, RunError> {
    fs::create_dir_all(folder)?;
    let port = free_port()?;
    let conf = folder.join("nginx.conf");
    fs::write(&conf, configuration(upstream, port, folder))?;
    let mut command = Command::new(PROGRAM);
    let master =
        Part::start(PROGRAM, command.arg("-p").arg(folder).arg("-c").arg(&conf).arg("-e").arg("stderr"))?;
    for _ in 0..START_STEPS {
        let workers = processes::children(master.pid())?;
        if workers.len() == WORKERS {
            return Ok(Nginx {
                master,
                workers,
                endpoint: format!("http://127.0.0.1:{port}{}", announce::PATH),
            });
        }
        tokio::time::sleep(START_STEP).await;
    }
    Err(RunError::NoEndpoint { part: PROGRAM.to_owned(), tail: "  no worker started\n".to_owned() })
}

/// nginx does not say which port it took, so one is chosen for it; somebody else may take it in between.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn configuration(upstream: &str, port: u16, folder: &Path) -> String {
    let server = upstream.trim_start_matches("http://").trim_end_matches(announce::PATH);
    let folder = folder.display();
    // The workers of a master that runs as root must be able to use the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        r#"daemon off; {user} worker_processes {WORKERS}; pid "{folder}/nginx.pid"; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 4m;
  client_body_temp_path "{folder}/body"; proxy_temp_path "{folder}/proxy"; fastcgi_temp_path "{folder}/fastcgi";
  uwsgi_temp_path "{folder}/uwsgi"; scgi_temp_path "{folder}/scgi";
  upstream stub {{ server {server}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"#
    )
}

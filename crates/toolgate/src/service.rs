//! One run of the gateway from its start to its end: the doors that were asked for, the operations port, the signals.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    thread::available_parallelism,
};

use arc_swap::ArcSwap;
use catalog::View;
use domain::ServerId;
use proxy::{
    Connections, Files, StdioSettings,
    config::{Exposed, check_exposure},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    announce::{self, Announcement, RulesFacts},
    config::{Loaded, Origin, Source},
    gateway::{Gateway, Plan, StartError},
    listener::{self, Purpose},
    operations::{LeftOut, Operations},
    reload::Reloader,
    signals::Signals,
    watch::Watch,
    workers::Workers,
};

/// The doors to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doors {
    /// HTTP alone.
    Http,
    /// Standard input and output alone: what a client launches.
    Stdio,
    /// Both at once.
    Both,
}

/// Why a run ended before it began.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A part that nothing works without cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A port or a signal handler cannot be had, or the pipe broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Listening as configured would expose the gateway to strangers.
    #[error(transparent)]
    Exposed(#[from] proxy::config::ExposureError),
    /// The tokens cannot be read, so nobody can be let in.
    #[error("the access tokens cannot be read: {}", reason(.0))]
    Tokens(#[from] identity::AuthError),
}

/// Whoever starts the gateway may know what strangers may not.
fn reason(error: &identity::AuthError) -> String {
    match error {
        identity::AuthError::TokensUnavailable(reason) => reason.to_string(),
        other => other.to_string(),
    }
}

/// Runs the gateway until it is told to stop, or until the client on standard input is gone when that is its only door.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub async fn run(loaded: Loaded, doors: Doors, origin: Origin) -> Result<ExitCode, ServeError> {
    let mut signals = Signals::install()?;
    // As early as can be: what changes before that is not seen as a change.
    let watch = Watch::new(&loaded.watched).await;
    let (plan, left_out) = plan(&loaded, origin.state_dir.clone());
    let left_out = Arc::new(ArcSwap::from_pointee(left_out));
    let source = loaded.source.clone();
    let names: Vec<String> = plan.servers.keys().map(ToString::to_string).collect();
    let gateway = Gateway::start(plan)?;
    let reloader = Reloader::new(&gateway, origin, &loaded, watch, left_out.clone());
    let reloading = tokio::spawn(reloader.run(signals.reload()));
    if matches!(source, Source::Adopted(_)) {
        // Whoever started us without a terminal may have closed stderr; that is no reason not to serve.
        let _ = io::stderr().write_all(announce::adopted(&loaded, doors, gateway.trail.path()).as_bytes());
    }
    let mut http = None;
    if doors != Doors::Stdio {
        let door = HttpDoor::open(&gateway, &loaded, left_out).await?;
        door.announce(&gateway, &loaded, &names)?;
        http = Some(door);
    }
    let client = (doors != Doors::Http).then(|| serve_stdio(&gateway));
    let failed = wait(&mut signals, client).await;
    reloading.abort();
    let stopped = tokio::select! {
        () = gateway.stop() => true,
        signal = signals.stop() => {
            eprintln!("toolgate: {signal} again: stopping at once");
            false
        }
    };
    drop(http);
    Ok(if failed || !stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Waits for the end: a signal, or a client on standard input that is gone. Tells whether it came by a failure.
async fn wait(signals: &mut Signals, client: Option<JoinHandle<io::Result<()>>>) -> bool {
    let client_gone = async {
        match client {
            Some(client) => client.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        signal = signals.stop() => {
            tracing::info!(signal, "stopping");
            false
        }
        ended = client_gone => {
            if let Err(error) = &ended {
                tracing::error!(%error, "the stdio client's connection broke");
            }
            ended.is_err()
        }
    }
}

/// Starts to serve the client on standard input. Its task and its calls are the drain's: to stop waiting for the task
/// ends none of them.
fn serve_stdio(gateway: &Gateway) -> JoinHandle<io::Result<()>> {
    let settings = StdioSettings { view: View::All };
    proxy::serve_stdio(gateway.proxy.clone(), settings, tokio::io::stdin(), tokio::io::stdout())
}

/// A gateway with its HTTP door open, for programs that run one inside themselves.
pub struct RunningGateway {
    gateway: Gateway,
    door: HttpDoor,
}

impl RunningGateway {
    /// Starts a gateway and opens its HTTP door. Call it within a runtime.
    ///
    /// # Errors
    /// [`ServeError`] when it cannot start.
    pub async fn start(loaded: &Loaded, state_dir: PathBuf) -> Result<Self, ServeError> {
        let (plan, left_out) = plan(loaded, state_dir);
        let gateway = Gateway::start(plan)?;
        let left_out = Arc::new(ArcSwap::from_pointee(left_out));
        let door = HttpDoor::open(&gateway, loaded, left_out).await?;
        Ok(Self { gateway, door })
    }

    /// Returns the address of the data port.
    pub const fn address(&self) -> SocketAddr {
        self.door.data
    }

    /// Returns the audit file; every line so far is in it.
    pub fn audit_file(&self) -> &Path {
        // Lines that could not be written are missing in the file, and whoever reads it sees that.
        let _ = self.gateway.trail.flush();
        self.gateway.trail.path()
    }

    /// Stops it.
    pub async fn stop(self) {
        self.gateway.stop().await;
    }
}

/// Servers that are not started; a reload replaces them.
pub(crate) type SharedLeftOut = Arc<ArcSwap<Vec<LeftOut>>>;

/// Takes what a gateway is put together from out of a configuration.
pub(crate) fn plan(loaded: &Loaded, state_dir: PathBuf) -> (Plan, Vec<LeftOut>) {
    let (servers, left_out) = split(loaded);
    let files =
        Files { servers: loaded.source.path().map(Path::to_owned), rules: loaded.rules_source.clone() };
    let (config, roster) = (loaded.config.clone(), loaded.roster.clone());
    (Plan { config, servers, state_dir, roster, files }, left_out)
}

/// Takes the servers that can be started from those that cannot.
fn split(loaded: &Loaded) -> (BTreeMap<ServerId, upstream::config::ServerSettings>, Vec<LeftOut>) {
    let mut servers = BTreeMap::new();
    let mut left_out: Vec<LeftOut> =
        loaded.disabled.iter().map(|server| LeftOut::disabled(server.clone())).collect();
    for (id, outcome) in &loaded.servers {
        match outcome {
            Ok(settings) => {
                servers.insert(id.clone(), settings.clone());
            }
            Err(fault) => left_out.push(LeftOut::faulty(id.clone(), fault.to_string())),
        }
    }
    (servers, left_out)
}

/// The HTTP door with its two ports.
struct HttpDoor {
    data: SocketAddr,
    operations: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl HttpDoor {
    async fn open(gateway: &Gateway, loaded: &Loaded, left_out: SharedLeftOut) -> Result<Self, ServeError> {
        let listen = &loaded.config.listen;
        if check_exposure(listen, gateway.proxy.requires_token()?)? == Exposed::PlainNetwork {
            eprintln!(
                "warning: {} is reachable from other machines over plain HTTP, so tokens can be read on the way; \
                 put a TLS proxy in front of it, or listen on 127.0.0.1\n",
                listen.address()
            );
        }
        let data = listener::bind(listen.address(), Purpose::Clients).await?;
        let operations = listener::bind(listen.operations(), Purpose::Operations).await?;
        let addresses = (data.local_addr()?, operations.local_addr()?);
        let connections = Connections::new(gateway.proxy.clone(), addresses.0, listen);
        let workers = Workers::start(available_parallelism().map_or(1, usize::from), &connections)?;
        let stopping = gateway.drain.stopping().clone();
        let accepting = listener::accept(data, stopping, move |stream, peer| workers.take(stream, peer));
        let tasks =
            vec![tokio::spawn(accepting), spawn_operations(gateway, operations, addresses.1, left_out)];
        Ok(Self { data: addresses.0, operations: addresses.1, tasks })
    }

    fn announce(&self, gateway: &Gateway, loaded: &Loaded, servers: &[String]) -> Result<(), ServeError> {
        let is_demo = loaded.source == Source::Builtin;
        let source = match loaded.source.path() {
            Some(path) => path.display().to_string(),
            None => "built in; put a .mcp.json or toolgate.yaml here to serve your own".to_owned(),
        };
        let announcement = Announcement {
            data: self.data,
            operations: self.operations,
            source: &source,
            servers,
            audit: gateway.trail.path(),
            needs_token: gateway.proxy.requires_token()?,
            rules: RulesFacts::of(loaded),
            exposure: &loaded.config.exposure,
            example: is_demo.then_some(("demo__add", r#"{"a": 2, "b": 3}"#)),
        };
        // Whoever started us without a terminal may have closed stderr; that is no reason not to serve.
        let _ = io::stderr().write_all(announcement.text().as_bytes());
        Ok(())
    }
}

impl Drop for HttpDoor {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn spawn_operations(
    gateway: &Gateway,
    listener: TcpListener,
    address: SocketAddr,
    left_out: SharedLeftOut,
) -> JoinHandle<()> {
    let operations = Operations {
        registry: gateway.registry.clone(),
        proxy: gateway.proxy.clone(),
        snapshots: gateway.snapshots.clone(),
        upstreams: gateway.upstreams.clone(),
        address,
        left_out,
        reloads: gateway.reloads.clone(),
    };
    let stopping = gateway.drain.stopping().clone();
    tokio::spawn(async move {
        if let Err(error) = crate::operations::serve(listener, Arc::new(operations), stopping).await {
            tracing::error!(%error, "the operations port is gone; calls go on");
        }
    })
}

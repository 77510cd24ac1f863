//! Everything that one era needs: a stub and all hops before it, each checked with a first listing and a first call.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::process::Command;

use crate::{
    era::Era,
    load::{LoadArgs, Method, connection::Connection, requests::Script},
    processes::{self, Memory},
    scenario::{
        RunArgs, RunError,
        gateway::{self, Upstream},
        nginx,
        parts::{Part, Serving},
        plan::{Hop, RequestKind, Scenario},
    },
};

/// How long a hop may take from its announcement to its first right answer.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// Pause between attempts; short, because the time to the first listing is a figure.
const READY_POLL: Duration = Duration::from_millis(1);

/// The parts of one era. Hops end before the stub does.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) era: Era,
    pub(super) stations: Vec<Station>,
    pub(super) stub: Serving,
}

/// One hop that can be measured.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) hop: Hop,
    pub(super) endpoint: String,
    /// The processes whose CPU is the hop's.
    pub(super) measured: Vec<u32>,
    /// Other processes of the hop: the master of nginx, children of the gateway.
    pub(super) beside: Vec<u32>,
    pub(super) start: Start,
    /// Held so that the process lives as long as its station; the stub's is held by the bed.
    _part: Option<Part>,
}

/// What was seen of a hop before any load.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Start {
    /// From the start of the process to its endpoint's line; absent where the runner was told the port.
    pub(super) announced_ms: Option<f64>,
    /// From the start of the process to the first listing of tools; absent for hops without a listing of their own.
    pub(super) first_listing_ms: Option<f64>,
    /// Memory after the first call.
    pub(super) memory: Memory,
}

impl Bed {
    /// Starts the stub of `era` and all hops that `args` asks for, with their files under `folder`.
    pub(super) async fn start(args: &RunArgs, era: Era, folder: &Path) -> Result<Self, RunError> {
        let workers = args.stub_workers.to_string();
        let mut command = own(&["stub", "http", "--era", era.name(), "--workers", &workers])?;
        let stub = Serving::start("stub", &mut command, None).await?;
        let mut bed = Self { era, stations: Vec::new(), stub };
        bed.stations.push(bed.direct());
        if !args.without_nginx && nginx::is_installed() {
            let nginx = bed.nginx(&folder.join(format!("nginx-{}", era.name()))).await?;
            bed.stations.push(nginx);
        }
        for shape in &args.pass {
            let mut command = own(&["pass", "--upstream", &bed.stub.endpoint, "--shape", shape.name()])?;
            let serving = Serving::start("pass", &mut command, Some(&bed.stub.endpoint)).await?;
            bed.stations.push(Station::new(Hop::Pass(*shape), serving));
        }
        if let Some(program) = &args.gateway {
            let upstreams = [
                (Hop::Gateway, Upstream::Http(&bed.stub.endpoint)),
                (Hop::GatewayStdio, Upstream::Stdio(era)),
            ];
            let mut gateways = Vec::new();
            for (hop, upstream) in upstreams {
                let folder = folder.join(format!("{}-{}", hop.name().replace(' ', "-"), era.name()));
                let serving = gateway::start(hop.name(), args, program, upstream, &folder).await?;
                gateways.push(first_listing(args, era, Station::new(hop, serving)).await?);
            }
            bed.stations.extend(gateways);
        }
        for station in &mut bed.stations {
            first_call(args, era, station).await?;
        }
        Ok(bed)
    }

    fn direct(&self) -> Station {
        Station {
            hop: Hop::Direct,
            endpoint: self.stub.endpoint.clone(),
            measured: vec![self.stub.part.pid()],
            beside: Vec::new(),
            start: Start::default(),
            _part: None,
        }
    }

    async fn nginx(&self, folder: &Path) -> Result<Station, RunError> {
        let nginx = nginx::start(&self.stub.endpoint, folder).await?;
        Ok(Station {
            hop: Hop::Nginx,
            endpoint: nginx.endpoint,
            measured: nginx.workers,
            beside: vec![nginx.master.pid()],
            start: Start::default(),
            _part: Some(nginx.master),
        })
    }
}

impl Station {
    fn new(hop: Hop, serving: Serving) -> Self {
        let start = Start { announced_ms: Some(milliseconds(serving.announced_after)), ..Start::default() };
        Self {
            hop,
            endpoint: serving.endpoint,
            measured: vec![serving.part.pid()],
            beside: Vec::new(),
            start,
            _part: Some(serving.part),
        }
    }

    /// Builds the load of `scenario` against this hop.
    pub(super) fn load(&self, args: &RunArgs, era: Era, scenario: Scenario) -> Result<LoadArgs, RunError> {
        let is_gateway = matches!(self.hop, Hop::Gateway | Hop::GatewayStdio);
        let prefix = if is_gateway { args.gateway_prefix.as_str() } else { "" };
        let (method, tool, size) = match scenario.request() {
            RequestKind::Echo => (Method::ToolsCall, "echo", None),
            RequestKind::Bytes(size) => (Method::ToolsCall, "bytes", Some(size)),
            RequestKind::List => (Method::ToolsList, "", None),
        };
        let unusable = |_| RunError::Unusable {
            hop: self.hop.name().to_owned(),
            fault: "its endpoint is no URL".to_owned(),
        };
        Ok(LoadArgs {
            url: self.endpoint.parse().map_err(unusable)?,
            connections: scenario.connections(),
            seconds: args.seconds,
            warmup: args.warmup,
            era,
            method,
            tool: format!("{prefix}{tool}"),
            size,
            arguments: None,
            token: args.token.clone().filter(|_| is_gateway),
            pid: [&self.measured[..], &self.beside].concat(),
            pretty: false,
        })
    }
}

/// Builds a command that runs a part from this very executable.
pub(super) fn own(args: &[&str]) -> Result<Command, RunError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args);
    Ok(command)
}

/// Repeats the listing until it is answered, and notes when.
async fn first_listing(args: &RunArgs, era: Era, mut station: Station) -> Result<Station, RunError> {
    let announced = Instant::now();
    ask(&station.load(args, era, Scenario::List)?, &station).await?;
    let before = station.start.announced_ms.unwrap_or_default();
    station.start.first_listing_ms = Some(before + milliseconds(announced.elapsed()));
    Ok(station)
}

/// Repeats a call until it is answered, then looks at memory and children.
async fn first_call(args: &RunArgs, era: Era, station: &mut Station) -> Result<(), RunError> {
    ask(&station.load(args, era, Scenario::Echo1)?, station).await?;
    for pid in &station.measured {
        let memory = processes::memory(*pid)?;
        station.start.memory.rss_kib += memory.rss_kib;
        station.start.memory.peak_rss_kib += memory.peak_rss_kib;
        station.beside.extend(processes::children(*pid)?);
    }
    Ok(())
}

async fn ask(load: &LoadArgs, station: &Station) -> Result<(), RunError> {
    let script = Script::new(load)?;
    let limit = Instant::now() + READY_LIMIT;
    loop {
        let fault = match Connection::open(&script).await {
            Ok(mut connection) => match connection.call(&script, 1).await {
                Ok(()) => return Ok(()),
                Err(fault) => fault.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if Instant::now() > limit {
            return Err(RunError::Unusable { hop: station.hop.name().to_owned(), fault });
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

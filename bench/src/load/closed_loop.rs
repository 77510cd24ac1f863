//! The measurement: every connection sends its next call when the last is answered, all on one thread.
//! CPU and calls are read together at both ends of the measured time, so that their ratio is exact.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    histogram::Histogram,
    load::{
        LoadArgs, LoadError,
        connection::Connection,
        report::{Latency, Process, Report},
        requests::Script,
        verdict::Fault,
    },
    processes,
};

/// Pause before a broken connection is opened again, so that a dead endpoint does not cost a core.
const REOPEN_PAUSE: Duration = Duration::from_millis(10);
/// Ids of one connection; those of the next begin behind them, so that no two calls of a run share an id.
const IDS_PER_CONNECTION: u64 = 1_000_000_000;

/// What all connections count together. The lock is never contended: there is one thread.
#[derive(Debug, Default)]
struct Tally {
    histogram: Histogram,
    answered: u64,
    errors: u64,
    first_fault: Option<Fault>,
}

/// The measured time.
#[derive(Debug, Clone, Copy)]
struct Window {
    from: Instant,
    to: Instant,
}

/// One reading of everything that is accounted.
#[derive(Debug)]
struct Reading {
    at: Instant,
    answered: u64,
    /// CPU time of each process asked for.
    cpu: Vec<Duration>,
    own_cpu: Duration,
    machine: Duration,
}

/// Opens all connections, then runs the loop for the time that `args` asks for. Must run on a current-thread runtime.
///
/// # Errors
/// Fails when a connection cannot be opened at the start or a process to be accounted is gone.
pub async fn measure(args: &LoadArgs) -> Result<Report, LoadError> {
    let script = Arc::new(Script::new(args)?);
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(Connection::open(&script).await?);
    }
    let from = Instant::now() + args.warmup();
    let window = Window { from, to: from + args.measured() };
    let mut workers = JoinSet::new();
    for (first_id, connection) in (1..).step_by(IDS_PER_CONNECTION as usize).zip(connections) {
        let worker =
            Worker { script: Arc::clone(&script), tally: Arc::clone(&tally), window, next_id: first_id };
        workers.spawn(worker.run(connection));
    }
    tokio::time::sleep_until(window.from.into()).await;
    let begin = read(&args.pid, &tally)?;
    tokio::time::sleep_until(window.to.into()).await;
    let end = read(&args.pid, &tally)?;
    workers.join_all().await;
    report(args, &begin, &end, &lock(&tally))
}

struct Worker {
    script: Arc<Script>,
    tally: Arc<Mutex<Tally>>,
    window: Window,
    next_id: u64,
}

impl Worker {
    async fn run(mut self, mut connection: Connection) {
        let mut start = Instant::now();
        while start < self.window.to {
            let outcome = connection.call(&self.script, self.next_id).await;
            let end = Instant::now();
            self.next_id += 1;
            let must_reopen = matches!(outcome, Err(Fault::Broken | Fault::Status(404)));
            self.count(start, end, outcome);
            start = end;
            if must_reopen {
                tokio::time::sleep(REOPEN_PAUSE).await;
                if let Ok(fresh) = Connection::open(&self.script).await {
                    connection = fresh;
                }
                start = Instant::now();
            }
        }
    }

    fn count(&self, start: Instant, end: Instant, outcome: Result<(), Fault>) {
        let mut tally = lock(&self.tally);
        match outcome {
            Ok(()) => {
                tally.answered += 1;
                if start >= self.window.from && end <= self.window.to {
                    tally.histogram.record(end - start);
                }
            }
            Err(fault) => {
                tally.errors += 1;
                tally.first_fault.get_or_insert(fault);
            }
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(pids: &[u32], tally: &Mutex<Tally>) -> io::Result<Reading> {
    Ok(Reading {
        at: Instant::now(),
        answered: lock(tally).answered,
        cpu: pids.iter().map(|pid| processes::cpu_time(*pid)).collect::<io::Result<_>>()?,
        own_cpu: processes::cpu_time(std::process::id())?,
        machine: processes::machine_busy()?,
    })
}

fn report(args: &LoadArgs, begin: &Reading, end: &Reading, tally: &Tally) -> Result<Report, LoadError> {
    let seconds = (end.at - begin.at).as_secs_f64();
    let calls = end.answered - begin.answered;
    let per_call = |cpu: Duration| cpu.as_secs_f64() * 1e6 / calls.max(1) as f64;
    let mut known = end.own_cpu.saturating_sub(begin.own_cpu);
    let generator_cpu_us_per_call = per_call(known);
    let mut accounted = Vec::new();
    for ((pid, before), after) in args.pid.iter().zip(&begin.cpu).zip(&end.cpu) {
        let cpu = after.saturating_sub(*before);
        known += cpu;
        accounted.push(Process {
            pid: *pid,
            name: processes::name(*pid),
            cpu_us_per_call: per_call(cpu),
            cores: cpu.as_secs_f64() / seconds,
            memory: processes::memory(*pid)?,
        });
    }
    let cores = thread::available_parallelism()?.get() as f64;
    let foreign = end.machine.saturating_sub(begin.machine).saturating_sub(known);
    Ok(Report {
        url: args.url.to_string(),
        era: args.era.name().to_owned(),
        tool: args.tool.clone(),
        connections: args.connections,
        seconds,
        calls,
        errors: tally.errors,
        first_fault: tally.first_fault.as_ref().map(Fault::to_string),
        rps: calls as f64 / seconds,
        latency: Latency::from(&tally.histogram),
        processes: accounted,
        generator_cpu_us_per_call,
        foreign_cpu: foreign.as_secs_f64() / seconds / cores,
    })
}

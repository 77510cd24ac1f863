//! Measures tool search: recall by style of query, latency, memory and update time at 500, 5,000 and 50,000 tools.
//!
//! `cargo run --release -p catalog --example search_figures [quality|scale]`

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use catalog::{Hit, Listing, SearchIndex};
use domain::ServerId;
use serde_json::Value;

#[path = "../tests/search/tasks.rs"]
mod tasks;

use tasks::Task;

/// The sizes that are measured.
const SIZES: [usize; 3] = [500, 5_000, 50_000];
/// How often all queries are asked at one size.
const ROUNDS: usize = 5;
/// How many servers are updated at one size.
const UPDATED: usize = 150;
/// One word in so many is replaced by a made-up one in each variation of a server.
const REPLACED: u64 = 5;

fn main() {
    let Some(folder) = tasks::folder() else {
        eprintln!("the labelled tasks do not stand beside the repository");
        return;
    };
    let (tasks, listings) = (tasks::tasks(&folder), tasks::listings(&folder));
    let what = std::env::args().nth(1).unwrap_or_default();
    if what != "scale" {
        quality(&tasks, &listings);
    }
    if what != "quality" {
        SIZES.into_iter().for_each(|size| scale(size, &tasks, &listings));
    }
}

fn quality(tasks: &[Task], listings: &BTreeMap<ServerId, Listing>) {
    let index = tasks::index(listings);
    let found: Vec<(&Task, Vec<Hit>)> =
        tasks.iter().map(|task| (task, index.search(&task.query, 10, |_, _| true))).collect();
    let styles: BTreeSet<&str> = tasks.iter().map(|task| task.style.as_str()).collect();
    print_recall("all", found.iter().filter(|(task, _)| task.is_possible()));
    for style in styles {
        print_recall(style, found.iter().filter(|(task, _)| task.style == style && task.is_possible()));
    }
    let clusters: BTreeSet<&str> = tasks.iter().map(|task| task.cluster.as_str()).collect();
    for (at, cluster) in clusters.iter().enumerate() {
        let of_cluster = |(task, _): &&(&Task, Vec<Hit>)| task.cluster == *cluster && task.is_possible();
        print_recall(&format!("cluster {at}"), found.iter().filter(of_cluster));
    }
    let top = |possible: bool| -> Vec<f32> {
        let of_kind = found.iter().filter(|(task, _)| task.is_possible() == possible);
        of_kind.map(|(_, hits)| hits.first().map_or(0.0, |hit| hit.score)).collect()
    };
    println!(
        "the best score tells possible tasks from impossible ones: {:.3}",
        separation(&top(true), &top(false))
    );
}

fn print_recall<'a>(name: &str, found: impl Iterator<Item = &'a (&'a Task, Vec<Hit>)>) {
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return;
    }
    print!("{name:20} n={:3}", found.len());
    for limit in [1, 3, 5, 10] {
        let sum: f64 = found.iter().map(|(task, hits)| task.recall(hits, limit)).sum();
        print!("  at {limit} {:.3}", sum / found.len() as f64);
    }
    println!();
}

/// Returns how often a score of the first kind is above one of the second.
fn separation(above: &[f32], below: &[f32]) -> f64 {
    let pairs = above.iter().flat_map(|a| below.iter().map(move |b| (a, b)));
    let won: f64 = pairs
        .map(|(a, b)| {
            if a > b {
                1.0
            } else if a < b {
                0.0
            } else {
                0.5
            }
        })
        .sum();
    won / (above.len() * below.len()) as f64
}

fn scale(size: usize, tasks: &[Task], listings: &BTreeMap<ServerId, Listing>) {
    let varied = variations(listings, size);
    let index = tasks::index(varied.iter().map(|(server, listing)| (server, listing)));
    let (mut times, mut postings) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        for task in tasks {
            let begin = Instant::now();
            let (hits, cost) = index.search_counted(&task.query, 5, |_, _| true);
            times.push(begin.elapsed());
            std::hint::black_box(hits);
            postings = postings.max(cost.postings);
        }
    }
    let (p50, p95) = quantiles(&mut times);
    let memory = index.memory_bytes() as f64 / f64::from(1 << 20);
    println!(
        "{:6} tools of {} servers: query p50 {p50:?} p95 {p95:?}, at most {postings} postings, {memory:.2} MiB",
        index.tools(),
        varied.len()
    );
    updates(index, &varied);
}

/// Shows what an update costs. The least of some rounds counts: what is more was taken by others.
fn updates(mut index: SearchIndex, varied: &[(ServerId, Listing)]) {
    let mut update = |(server, listing): &(ServerId, Listing)| {
        let rounds = (0..ROUNDS).map(|_| {
            let begin = Instant::now();
            index.update(server, listing);
            begin.elapsed()
        });
        (rounds.min().unwrap_or_default(), listing.tools.len())
    };
    let mut times: Vec<(Duration, usize)> = varied.iter().take(UPDATED).map(&mut update).collect();
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "       update of one server: p50 {:?}, slowest {:?} ({} tools)",
        median.0, slowest.0, slowest.1
    );
}

fn quantiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

/// Returns as many tools as asked for: the servers, then variations of them in which words are replaced.
fn variations(listings: &BTreeMap<ServerId, Listing>, size: usize) -> Vec<(ServerId, Listing)> {
    let mut out = Vec::new();
    let mut left = size;
    for round in 0_u64.. {
        for (server, listing) in listings {
            if left == 0 {
                return out;
            }
            let name = if round == 0 { server.to_string() } else { format!("{server}-{}", made_up(round)) };
            let mut varied = tasks::empty();
            varied.tools = listing.tools.iter().take(left).map(|tool| vary(tool, round)).collect();
            left -= varied.tools.len();
            out.push((ServerId::new(name).expect("a sound name"), varied));
        }
    }
    out
}

fn vary(tool: &Bytes, round: u64) -> Bytes {
    if round == 0 {
        return tool.clone();
    }
    let mut value: Value = serde_json::from_slice(tool).expect("a tool is JSON");
    for key in ["name", "description"] {
        let text = value[key].as_str().unwrap_or_default().to_owned();
        value[key] = text
            .split_inclusive([' ', '_', '-'])
            .map(|word| vary_word(word, round))
            .collect::<String>()
            .into();
    }
    value.to_string().into()
}

fn vary_word(word: &str, round: u64) -> String {
    let number = word.bytes().fold(round, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    if !number.is_multiple_of(REPLACED) {
        return word.to_owned();
    }
    let end = word.chars().last().filter(|c| !c.is_alphanumeric());
    made_up(number % 20_000).chars().chain(end).collect()
}

/// Returns a word that can be spoken.
fn made_up(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "den", "fi", "gor", "hul", "ja", "kem", "li", "mon", "nar", "pe", "rus", "sti", "tov", "wi",
        "zan",
    ];
    (0..3).map(|at| SYLLABLES[(number >> (at * 4)) as usize % SYLLABLES.len()]).collect()
}

//! How well tools are found, on real tools of real servers and labelled tasks that stand beside the repository.
//! Where they do not stand there, the tests say so and prove nothing.

#[path = "search/tasks.rs"]
mod tasks;

use std::collections::BTreeSet;

use catalog::{Hit, SearchIndex};
use domain::ServerId;
use tasks::Task;

/// The least share of right tools among five hits, over all tasks that a tool fits.
const LEAST_RECALL: f64 = 0.80;
/// The same over either half of the servers: no few servers carry the figure.
const LEAST_RECALL_HALF: f64 = 0.75;
/// The same over the tasks with misspelled words.
const LEAST_RECALL_MISSPELLED: f64 = 0.85;
/// Most entries of the index that a query may read, whatever the number of tools.
const MOST_POSTINGS: usize = 64 * 1024;

fn recall(found: &[(&Task, Vec<Hit>)], of: impl Fn(&Task) -> bool) -> f64 {
    let of_kind: Vec<_> = found.iter().filter(|(task, _)| task.is_possible() && of(task)).collect();
    of_kind.iter().map(|(task, hits)| task.recall(hits, 5)).sum::<f64>() / of_kind.len() as f64
}

#[test]
fn the_right_tools_are_found() {
    let Some(folder) = tasks::folder() else {
        eprintln!("left out: the labelled tasks do not stand beside the repository");
        return;
    };
    let (tasks, index) = (tasks::tasks(&folder), tasks::index(&tasks::listings(&folder)));
    let found: Vec<_> = tasks.iter().map(|task| (task, index.search(&task.query, 10, |_, _| true))).collect();
    let (all, misspelled) = (recall(&found, |_| true), recall(&found, |task| task.style == "misspelled"));
    println!("recall at 5: {all:.3}, misspelled {misspelled:.3}");
    assert!(all >= LEAST_RECALL, "{all}");
    assert!(misspelled >= LEAST_RECALL_MISSPELLED, "{misspelled}");
    let clusters: BTreeSet<&str> = tasks.iter().map(|task| task.cluster.as_str()).collect();
    for parity in [0, 1] {
        let half: BTreeSet<&str> = clusters.iter().skip(parity).step_by(2).copied().collect();
        let recall = recall(&found, |task| half.contains(task.cluster.as_str()));
        assert!(recall >= LEAST_RECALL_HALF, "{recall} of half {parity}");
    }
}

#[test]
fn a_query_reads_a_bounded_number_of_postings() {
    let Some(folder) = tasks::folder() else {
        eprintln!("left out: the labelled tasks do not stand beside the repository");
        return;
    };
    let listings = tasks::listings(&folder);
    let mut index = SearchIndex::default();
    for round in 0..4 {
        for (server, listing) in &listings {
            index.update(&ServerId::new(format!("{server}-{round}")).unwrap(), listing);
        }
    }
    assert!(index.tools() > 5_000);
    let longest =
        "list get create delete update show name id user file data server value type query ".repeat(40);
    for query in tasks::tasks(&folder).iter().map(|task| task.query.as_str()).chain([longest.as_str()]) {
        let (_, cost) = index.search_counted(query, 5, |_, _| true);
        assert!(cost.postings <= MOST_POSTINGS, "{} for {query}", cost.postings);
    }
}

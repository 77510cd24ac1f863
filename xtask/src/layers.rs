//! The layer table of ARCHITECTURE.md and the check that every arrow between our crates points down it.
//! Only normal and build dependencies count: a test may reach wherever it needs to.
//! A new crate gets a row in [`ROWS`]; a new arrow inside a layer is argued in ARCHITECTURE.md first.

use std::collections::BTreeSet;
use std::fmt;

use crate::workspace::{Kind, Package};

/// A layer, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Nouns,
    Verdicts,
    Outside,
    Planes,
    Program,
    Fixtures,
    Drivers,
}

/// Every crate of the workspace and its layer.
pub(crate) const ROWS: &[(&str, Layer)] = &[
    ("domain", Layer::Nouns),
    ("protocol", Layer::Nouns),
    ("guardrails", Layer::Verdicts),
    ("catalog", Layer::Verdicts),
    ("policy", Layer::Verdicts),
    ("identity", Layer::Outside),
    ("credentials", Layer::Outside),
    ("upstream", Layer::Outside),
    ("audit", Layer::Outside),
    ("proxy", Layer::Planes),
    ("toolgate", Layer::Program),
    ("testkit", Layer::Fixtures),
    ("fixtures", Layer::Fixtures),
    ("it", Layer::Drivers),
    ("conformance-client", Layer::Drivers),
    ("bench", Layer::Drivers),
    ("xtask", Layer::Drivers),
];

/// The arrows inside a layer, the complete list.
const SIDEWAYS: &[(&str, &str)] = &[("policy", "catalog"), ("catalog", "guardrails")];

/// Crates from elsewhere that the gateway itself may not contain, with the reason.
const TESTS_ONLY: &[(&str, &str)] =
    &[("rmcp", "it decodes and re-encodes whole messages; it belongs to tests and fixtures")];

/// Returns one sentence for each arrow that breaks the table.
pub(crate) fn faults(packages: &[Package]) -> Vec<String> {
    let mut faults: Vec<String> = stale_rows(packages).collect();
    for package in packages {
        match layer_of(&package.name) {
            None => faults.push(without_row(&package.name)),
            Some(layer) => {
                faults.extend(arrows(package).filter_map(|to| arrow_fault(&package.name, layer, to)))
            }
        }
        faults.extend(tests_only(package));
    }
    faults
}

fn layer_of(name: &str) -> Option<Layer> {
    ROWS.iter().find(|(row, _)| *row == name).map(|(_, layer)| *layer)
}

/// Returns the crates a package needs to be built, each once.
fn arrows(package: &Package) -> impl Iterator<Item = &str> {
    let needed = package.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
    needed.map(|dependency| dependency.name.as_str()).collect::<BTreeSet<_>>().into_iter()
}

fn arrow_fault(from: &str, layer: Layer, to: &str) -> Option<String> {
    let target = layer_of(to)?;
    if target < layer || SIDEWAYS.contains(&(from, to)) {
        return None;
    }
    let advice = if target == layer {
        "this arrow inside a layer is not in the list; move what both need one layer down, or argue the arrow in \
         ARCHITECTURE.md and then add it to SIDEWAYS in xtask/src/layers.rs"
    } else {
        "arrows point down only; move the type both need into a lower crate, or hand the value in as an argument"
    };
    Some(format!("crate `{from}` ({layer}) depends on `{to}` ({target}): {advice}"))
}

fn without_row(name: &str) -> String {
    format!(
        "crate `{name}` has no layer: decide it in ARCHITECTURE.md, then add a row to ROWS in xtask/src/layers.rs"
    )
}

fn stale_rows(packages: &[Package]) -> impl Iterator<Item = String> {
    let gone = ROWS.iter().filter(|(row, _)| !packages.iter().any(|package| package.name == *row));
    gone.map(|(row, _)| {
        format!("ROWS in xtask/src/layers.rs names `{row}`, which is no crate of the workspace: remove it")
    })
}

fn tests_only(package: &Package) -> impl Iterator<Item = String> {
    let in_gateway = package.folder.starts_with("crates");
    let found =
        TESTS_ONLY.iter().filter(move |(name, _)| in_gateway && arrows(package).any(|to| to == *name));
    found.map(|(name, reason)| {
        format!(
            "crate `{}` depends on `{name}`: {reason}; make it a dev-dependency or do without",
            package.name
        )
    })
}

// === impl Layer ===

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nouns => "L0 nouns",
            Self::Verdicts => "L1 verdicts",
            Self::Outside => "L2 the outside world",
            Self::Planes => "L3 planes",
            Self::Program => "L4 the program",
            Self::Fixtures => "test fixtures",
            Self::Drivers => "tests and tools",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    /// Checks the whole table with one package's dependencies replaced; returns the faults.
    fn check(name: &str, dependencies: &[(&str, Kind)]) -> Vec<String> {
        let mut packages: Vec<Package> = ROWS.iter().map(|(row, _)| package(row, &[])).collect();
        packages.retain(|package| package.name != name);
        packages.push(package(name, dependencies));
        faults(&packages)
    }

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        let dependencies =
            dependencies.iter().map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind });
        let folder = if layer_of(name).is_none_or(|layer| layer <= Layer::Program) { "crates" } else { "" };
        Package { name: name.to_owned(), folder: folder.into(), dependencies: dependencies.collect() }
    }

    #[test]
    fn downward_and_listed_arrows_pass() {
        assert_eq!(check("toolgate", &[("proxy", Kind::Normal), ("domain", Kind::Normal)]), [""; 0]);
        assert_eq!(check("policy", &[("catalog", Kind::Normal), ("serde", Kind::Normal)]), [""; 0]);
    }

    #[test]
    fn upward_arrow_names_both_crates_and_layers() {
        let faults = check("catalog", &[("proxy", Kind::Normal)]);
        assert_eq!(faults.len(), 1);
        assert!(
            faults[0].starts_with("crate `catalog` (L1 verdicts) depends on `proxy` (L3 planes): "),
            "{faults:?}"
        );
    }

    #[test]
    fn build_dependency_is_an_arrow() {
        assert_eq!(check("domain", &[("audit", Kind::Build)]).len(), 1);
    }

    #[test]
    fn unlisted_arrow_inside_a_layer_is_refused() {
        let faults = check("credentials", &[("identity", Kind::Normal)]);
        assert!(faults[0].contains("not in the list"), "{faults:?}");
        assert_eq!(
            check("catalog", &[("policy", Kind::Normal)]).len(),
            1,
            "the listed arrow has one direction"
        );
    }

    #[test]
    fn tests_may_reach_anywhere() {
        assert_eq!(check("domain", &[("testkit", Kind::Dev), ("rmcp", Kind::Dev)]), [""; 0]);
    }

    #[test]
    fn fixtures_stay_out_of_the_gateway() {
        assert_eq!(check("toolgate", &[("testkit", Kind::Normal)]).len(), 1);
        assert_eq!(check("upstream", &[("rmcp", Kind::Normal)]).len(), 1);
        assert_eq!(check("testkit", &[("rmcp", Kind::Normal)]), [""; 0]);
    }

    #[test]
    fn crate_without_a_row_is_refused() {
        let faults = check("gadgets", &[]);
        assert!(faults[0].starts_with("crate `gadgets` has no layer"), "{faults:?}");
    }

    #[test]
    fn row_without_a_crate_is_refused() {
        let faults = faults(&ROWS[1..].iter().map(|(row, _)| package(row, &[])).collect::<Vec<_>>());
        assert!(faults[0].contains("names `domain`"), "{faults:?}");
    }
}

//! Which file a trail goes to: one writer a file, nobody's file is spoilt, only the owner reads it.

use std::{
    fs::{self, File},
    io::BufReader,
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use audit::{AuditError, Event, Place, Settings, Trail, verify};

fn verified_lines(file: &Path) -> u64 {
    verify(BufReader::new(File::open(file).unwrap())).unwrap().lines
}

#[test]
fn gateways_side_by_side_write_to_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::at(folder.path().join("audit.jsonl"));
    let trails: Vec<_> = (0..3).map(|_| Trail::open(&settings).unwrap()).collect();
    assert_eq!(trails[0].place(), &Place::Configured(settings.file().to_owned()));
    for (trail, name) in trails[1..].iter().zip(["audit-2.jsonl", "audit-3.jsonl"]) {
        let file = folder.path().join(name);
        assert_eq!(trail.place(), &Place::Beside { file, held: settings.file().to_owned() });
    }
    for trail in &trails {
        trail.event(Event { name: "started", details: &[] }).unwrap();
        assert_eq!(verified_lines(trail.path()), 1);
    }
}

#[test]
fn a_file_let_go_is_continued_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::at(folder.path().join("audit.jsonl"));
    for lines in 1..4 {
        let trail = Trail::open(&settings).unwrap();
        assert_eq!(trail.place(), &Place::Configured(settings.file().to_owned()));
        trail.event(Event { name: "started", details: &[] }).unwrap();
        drop(trail);
        assert_eq!(verified_lines(settings.file()), lines);
    }
}

#[test]
fn a_file_beside_is_continued_unless_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::at(folder.path().join("audit.jsonl"));
    let _first = Trail::open(&settings).unwrap();
    let beside = |number: u32| folder.path().join(format!("audit-{number}.jsonl"));
    for lines in 1..4 {
        let second = Trail::open(&settings).unwrap();
        second.event(Event { name: "started", details: &[] }).unwrap();
        assert_eq!(second.path(), beside(2));
        drop(second);
        assert_eq!(verified_lines(&beside(2)), lines);
    }
    let damaged = fs::read_to_string(beside(2)).unwrap().replace("started", "stopped");
    fs::write(beside(2), &damaged).unwrap();
    assert_eq!(Trail::open(&settings).unwrap().path(), beside(3));
    assert_eq!(fs::read_to_string(beside(2)).unwrap(), damaged);
}

#[test]
fn a_file_that_is_no_trail_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    for content in ["my notes\n", "my notes", "{\"phase\":\"begin\"}\n"] {
        fs::write(&file, content).unwrap();
        let refusal = Trail::open(&Settings::at(&file)).unwrap_err();
        assert!(matches!(refusal, AuditError::Foreign { .. }), "{refusal}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
    }
    assert!(matches!(Trail::open(&Settings::at(folder.path())), Err(AuditError::Open { .. })));
}

#[test]
fn only_the_owner_may_read_the_trail() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state/toolgate/audit.jsonl");
    let trail = Trail::open(&Settings::at(&file)).unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(trail.path()), mode(file.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn a_deleted_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("audit.jsonl");
    let trail = Trail::open(&Settings::at(&file)).unwrap();
    fs::remove_file(&file).unwrap();
    let refusal = loop {
        match trail.event(Event { name: "still there", details: &[] }) {
            Ok(()) => std::thread::yield_now(), // it looks when it syncs, every 40 ms
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, AuditError::Deleted { .. }), "{refusal}");
}

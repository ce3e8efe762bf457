//! Who may read the data directory: its owner.

use super::super::{SqliteEngine, SqliteOptions};
use crate::engine::{Engine as _, Retention, testing::TempDir};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

/// Opens, and returns the rights of the directory and of each file in it while it is open.
fn rights(dir: &Path) -> (u32, Vec<(String, u32)>) {
    let retention = Retention { events: 10, age_ms: 0 };
    let engine = SqliteEngine::start(SqliteOptions::new(dir, retention.into(), Arc::new(|| 0))).expect("opened");
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("read")
        .map(|entry| entry.expect("read"))
        .map(|entry| (entry.file_name().into_string().expect("a name"), mode(&entry.path())))
        .collect();
    files.sort();
    let found = (mode(dir), files);
    engine.stop();
    found
}

const FILES: [&str; 4] = ["osbackend.db", "osbackend.db-shm", "osbackend.db-wal", "osbackend.lock"];

#[test]
fn a_new_directory_and_its_files_are_the_owners() {
    let parent = TempDir::new();
    let dir = parent.path().join("a/b");
    assert_eq!(rights(&dir), (0o700, FILES.map(|name| (name.to_owned(), 0o600)).to_vec()));
    assert_eq!(mode(&parent.path().join("a")), 0o700);
}

#[test]
fn what_was_open_is_closed_and_files_of_others_are_left_alone() {
    let parent = TempDir::new();
    let dir = parent.path().join("data");
    rights(&dir);
    set(&dir, 0o755);
    FILES.map(|name| dir.join(name)).iter().filter(|file| file.exists()).for_each(|file| set(file, 0o644));
    fs::create_dir(dir.join("dev")).expect("made");
    let (of_dir, files) = rights(&dir);
    assert_eq!(of_dir, 0o700);
    assert!(files.iter().all(|(name, mode)| name == "dev" || *mode == 0o600), "{files:?}");

    // Somebody's own directory: only what is the server's is closed.
    fs::write(dir.join("report.pdf"), "of others").expect("written");
    set(&dir.join("report.pdf"), 0o644);
    set(&dir, 0o755);
    set(&dir.join("osbackend.db"), 0o640);
    let (of_dir, files) = rights(&dir);
    assert_eq!(of_dir, 0o755);
    let of = |name: &str| files.iter().find(|(file, _)| file == name).map(|(_, mode)| *mode);
    assert_eq!((of("report.pdf"), of("osbackend.db")), (Some(0o644), Some(0o600)));
}

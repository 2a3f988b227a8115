//! The built library and the tools that tests need. A tool that is missing is no failure: the test says so and passes.
//!
//! `cargo test` builds the shared library and the archive together with the rlib that this test is linked with, into the
//! folder of the test's executable. Should they not be there, or be older than the sources, cargo is asked to build them
//! and says where they are; by then it has given its lock back, for it runs tests after all building.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The library in both forms.
#[derive(Debug)]
pub struct Libraries {
    /// `libkestrel.so`
    pub shared: PathBuf,
    /// `libkestrel.a`
    pub archive: PathBuf,
}

/// The folder of the crate.
pub fn crate_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the crate as text.
pub fn read(path: &str) -> String {
    let path = crate_folder().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The built library.
pub fn libraries() -> &'static Libraries {
    static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
    LIBRARIES.get_or_init(|| beside_this_test().unwrap_or_else(build))
}

fn beside_this_test() -> Option<Libraries> {
    let executable = std::env::current_exe().ok()?;
    let folder = executable.parent()?;
    let found = Libraries { shared: folder.join("libkestrel.so"), archive: folder.join("libkestrel.a") };
    let newest = newest_source(&crate_folder().join("src"))?;
    let fresh = |path: &Path| modified(path).is_some_and(|built| built >= newest);
    (fresh(&found.shared) && fresh(&found.archive)).then_some(found)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|about| about.modified()).ok()
}

fn newest_source(folder: &Path) -> Option<SystemTime> {
    fs::read_dir(folder).ok()?.filter_map(|entry| modified(&entry.ok()?.path())).max()
}

fn build() -> Libraries {
    println!("the library is not beside the test, or stale: asking cargo to build it");
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--offline", "--package", "kestrel-ffi", "--lib", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = run(command.current_dir(crate_folder()));
    assert!(output.status.success(), "cargo cannot build the library: {}", text(&output.stderr));
    let files: Vec<PathBuf> = text(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "kestrel")
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|name| name.as_str().map(PathBuf::from))
        .collect();
    let file = |ending: &str| {
        let found = files.iter().find(|path| path.extension() == Some(OsStr::new(ending)));
        found.unwrap_or_else(|| panic!("cargo built no library that ends with .{ending}: {files:?}")).clone()
    };
    Libraries { shared: file("so"), archive: file("a") }
}

/// Whether a tool can be started; says so when it cannot.
pub fn is_there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: `{tool}` is not there");
    }
    there
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

/// Runs a command that must succeed without a word of warning.
pub fn run_cleanly(command: &mut Command) {
    let output = run(command);
    let complaint = text(&output.stderr);
    assert!(output.status.success() && complaint.is_empty(), "{command:?} says:\n{complaint}");
}

/// The output of a program as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("these programs write UTF-8")
}

/// A place for a file that a test makes.
pub fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

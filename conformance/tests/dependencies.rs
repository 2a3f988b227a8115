//! Whether `docs/dependencies.md` has a line for every package that a crate names, with its homes and its licence, and no
//! line for anything else. In: the page and `cargo metadata`. It reads no network and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

/// A package: its homes, sorted and joined, and its licence.
type Lines = BTreeMap<String, (String, String)>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    std::fs::read_to_string(workspace().join("docs/dependencies.md")).expect("the page is there")
}

/// The rows of the table below `header`: the name in its first cell, then the homes and the licence.
fn lines(header: &str) -> Lines {
    page()
        .lines()
        .skip_while(|line| *line != header)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert!(cells.iter().all(|cell| !cell.is_empty()), "a cell is empty: {line}");
            (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), cells[2].to_owned()))
        })
        .collect()
}

fn metadata() -> Json {
    // For this platform alone: packages of other systems were perhaps never fetched.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", &platform])
        .current_dir(workspace())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
}

fn text<'j>(json: &'j Json, name: &str) -> &'j str {
    json.get(name).and_then(Json::as_str).unwrap_or("")
}

fn list<'j>(json: &'j Json, name: &str) -> &'j [Json] {
    json.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

#[test]
fn every_direct_dependency_has_its_line() {
    let metadata = metadata();
    let members: BTreeSet<&str> = list(&metadata, "workspace_members").iter().filter_map(Json::as_str).collect();
    let packages = list(&metadata, "packages");
    let mut homes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages.iter().filter(|package| members.contains(text(package, "id"))) {
        for dependency in list(package, "dependencies").iter().filter(|dependency| dependency["path"].is_null()) {
            homes.entry(text(dependency, "name")).or_default().insert(text(package, "name"));
        }
    }
    let licence = |name: &str| {
        let licences: BTreeSet<&str> = packages
            .iter()
            .filter(|package| text(package, "name") == name)
            .map(|package| text(package, "license"))
            .collect();
        licences.into_iter().collect::<Vec<_>>().join("; ").replace('/', " OR ")
    };
    let expected: Lines = homes
        .into_iter()
        .map(|(name, homes)| (name.to_owned(), (homes.into_iter().collect::<Vec<_>>().join(", "), licence(name))))
        .collect();
    let told = lines("| package | home | licence | why | brings | library | tokio |");
    let wrong: Vec<String> = expected
        .keys()
        .chain(told.keys())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .filter(|name| expected.get(*name) != told.get(*name))
        .map(|name| format!("{name}: the page says {:?}, cargo says {:?}", told.get(name), expected.get(name)))
        .collect();
    assert!(wrong.is_empty(), "docs/dependencies.md is not true:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_outside_the_workspace_has_its_line_too() {
    let inside: BTreeSet<String> =
        lines("| package | home | licence | why | brings | library | tokio |").into_keys().collect();
    let outside = lines("| package | home | licence | why |");
    let told: BTreeSet<&String> = inside.iter().chain(outside.keys()).collect();
    for folder in ["fuzz", "conformance/peers", "lsp/editors/zed"] {
        let manifest = workspace().join(folder).join("Cargo.toml");
        let manifest = std::fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let manifest: toml::Table = manifest.parse().unwrap_or_else(|error| panic!("{folder}: {error}"));
        for (name, dependency) in manifest.get("dependencies").and_then(toml::Value::as_table).into_iter().flatten() {
            let ours = dependency.get("path").is_some();
            assert!(ours || told.contains(name), "`{name}` of `{folder}` has no line in docs/dependencies.md");
        }
    }
}

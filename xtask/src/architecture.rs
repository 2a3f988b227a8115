//! The dependency rule of ARCHITECTURE.md, asserted from `cargo metadata`: who may import whom, and where each heavy
//! package lives. Development dependencies are free: tests may look at everything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::packages::{cargo, workspace};

/// Each crate and the crates of the workspace that it may import.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("kestrel-schema", &[]),
    ("kestrel-ir", &["kestrel-schema"]),
    ("kestrel-backend-wasm", &["kestrel-ir", "kestrel-schema"]),
    ("kestrel-backend-lua", &["kestrel-ir", "kestrel-schema"]),
    ("kestrel-backend-bpf", &["kestrel-ir", "kestrel-schema"]),
    ("kestrel-bpf", &["kestrel-schema"]),
    ("kestrel-core", &["kestrel-ir", "kestrel-schema"]),
    ("kestrel-engine", &["kestrel-core", "kestrel-ir", "kestrel-schema", "kestrel-bpf"]),
    ("eqlc", &["kestrel-ir", "kestrel-schema", "kestrel-backend-wasm", "kestrel-backend-lua", "kestrel-backend-bpf"]),
    ("eqlc-cli", &["eqlc", "kestrel-engine", "kestrel-core", "kestrel-ir", "kestrel-schema"]),
    ("eql-lsp", &["eqlc", "kestrel-engine", "kestrel-core", "kestrel-ir", "kestrel-schema"]),
    ("kestrel-ffi", &["eqlc", "kestrel-engine", "kestrel-core", "kestrel-ir", "kestrel-schema"]),
    (
        "kestrel-conformance",
        &[
            "eqlc",
            "kestrel-engine",
            "kestrel-core",
            "kestrel-ir",
            "kestrel-schema",
            "kestrel-backend-wasm",
            "kestrel-backend-lua",
            "kestrel-backend-bpf",
            "kestrel-bpf",
        ],
    ),
    ("kestrel-truth", &["kestrel-engine", "kestrel-ir", "kestrel-schema"]),
    ("xtask", &["kestrel-schema"]),
];

/// Each heavy package and its one home.
const HOMES: [(&str, &str); 17] = [
    ("wasmtime", "kestrel-engine"),
    ("cranelift-codegen", "kestrel-engine"),
    ("cranelift-native", "kestrel-engine"),
    ("mlua", "kestrel-engine"),
    ("aya", "kestrel-engine"),
    ("zstd", "kestrel-engine"),
    ("ureq", "kestrel-engine"),
    ("sonic-rs", "kestrel-ir"),
    ("wasm-encoder", "kestrel-backend-wasm"),
    ("wasmparser", "kestrel-backend-wasm"),
    ("wasmprinter", "kestrel-backend-wasm"),
    ("logos", "eqlc"),
    ("lalrpop", "eqlc"),
    ("lalrpop-util", "eqlc"),
    ("codespan-reporting", "eqlc"),
    ("tower-lsp", "eql-lsp"),
    ("tokio", "eql-lsp"),
];

/// The crates of the workspace with their dependencies, development ones aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo()
        .current_dir(workspace().expect("the workspace"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .expect("cargo metadata");
    let metadata: Json = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
            let names = dependencies
                .filter(|dependency| dependency["kind"] != "dev")
                .filter_map(|dependency| dependency["name"].as_str());
            (package["name"].as_str().expect("a name").to_owned(), names.map(str::to_owned).collect())
        })
        .collect()
}

#[test]
fn crates_import_downwards_only() {
    let found = dependencies();
    let ours: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    let known: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    assert_eq!(ours, known, "every crate of the workspace has its line in the rule");
    for (name, allowed) in MAY_IMPORT {
        let wrong: Vec<&String> = found[name]
            .iter()
            .filter(|dependency| ours.contains(dependency.as_str()) && !allowed.contains(&dependency.as_str()))
            .collect();
        assert!(wrong.is_empty(), "{name} must not import {wrong:?}");
    }
}

#[test]
fn each_heavy_package_has_one_home() {
    let found = dependencies();
    for (package, home) in HOMES {
        let users: Vec<&String> =
            found.iter().filter(|(_, dependencies)| dependencies.contains(package)).map(|(name, _)| name).collect();
        assert_eq!(users, [home], "the home of {package}");
    }
}

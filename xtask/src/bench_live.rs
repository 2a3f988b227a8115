//! `cargo xtask bench live`: builds the engine in release mode and a pack of rules, and has `kestrel-truth bench` measure what it
//! costs this host. The rules are the public ones beside the project, or the project's own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// A rule that tells of the programs whose start is measured, and one that has every created file given to the rules and
/// never holds.
const RULES: [(&str, &str); 2] = [
    ("marker", "process where event.type == \"start\" and process.args : \"kestrel-bench-marker-*\""),
    ("files", "file where event.type != null and file.path : \"*/kestrel-bench.*\" and process.pid == 0"),
];

/// Builds what is needed, measures, prints.
///
/// # Errors
/// When something does not build, or the measurement ends with an error.
pub fn run(rounds: usize) -> Result<()> {
    ensure_build_tools()?;
    let root = workspace()?;
    let packages = ["eqlc-cli", "kestrel-engine", "kestrel-truth"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    succeed(cargo().current_dir(&root).args(["build", "--release", "--quiet"]).args(packages))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let (program, folder) = (|name: &str| target.join("release").join(name), target.join("bench-live"));
    for (name, query) in RULES {
        let rule = format!(
            "[rule]\nid = \"kestrel-bench-{name}\"\nname = \"Benchmark: {name}\"\nlanguage = \"eql\"\nquery = '''\n{query}\n'''\n"
        );
        let path = folder.join(name).join("rule.toml");
        std::fs::create_dir_all(folder.join(name)).with_context(|| format!("making {}", folder.display()))?;
        std::fs::write(&path, rule).with_context(|| format!("writing {}", path.display()))?;
    }
    let public = root.join("../shared/data/rules");
    let rules = if public.is_dir() { public } else { root.join("rules/linux") };
    let build = |rules: &PathBuf, name: &str| -> Result<PathBuf> {
        let pack = folder.join(format!("{name}.kpkg"));
        succeed(Command::new(program("eqlc")).args(["build", "--keep-going"]).arg(rules).arg("-o").arg(&pack))?;
        Ok(pack)
    };
    let own = |name: &str| build(&folder.join(name), name);
    let (pack, marker, files) = (build(&rules, "rules")?, own("marker")?, own("files")?);
    let mut measure = Command::new(program("kestrel-truth"));
    measure.arg("bench").arg("--engine").arg(program("kestrel-engine")).arg("--pack").arg(&pack);
    succeed(measure.arg("--marker").arg(&marker).arg("--files").arg(&files).args(["--rounds", &rounds.to_string()]))
}

//! `cargo xtask bench peers`: Kestrel beside published engines, on the same events and rules; docs/peers.md has the method.
//!
//! The comparison is a workspace of its own, so that no other engine comes into Kestrel's dependencies: this chore builds
//! and runs it. python-eql gets a virtual environment below the target folder; where that cannot be made, the
//! comparison runs without it and says why.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// The version that numbers in the documentation are of.
const PYTHON_PACKAGE: &str = "eql==1.0.1";

/// Builds the comparison and runs it; `arguments` are its own, `--help` tells them.
pub fn run(arguments: &[String]) -> Result<()> {
    ensure_build_tools()?;
    let root = workspace()?;
    let manifest = root.join("conformance/peers/Cargo.toml");
    let mut run = cargo();
    run.args(["run", "--release", "--locked", "--quiet", "--manifest-path"]).arg(&manifest).arg("--").args(arguments);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    match python(&target.join("peers-python")) {
        Ok(python) => run.arg("--python").arg(python),
        Err(error) => run.arg("--no-python").arg(format!("{error:#}")),
    };
    succeed(&mut run)
}

/// A Python that has the package.
fn python(folder: &Path) -> Result<PathBuf> {
    let python = folder.join("bin/python");
    let has_package = |python: &Path| {
        Command::new(python).args(["-c", "import eql"]).output().is_ok_and(|done| done.status.success())
    };
    if !has_package(&python) {
        quietly(Command::new("python3").args(["-m", "venv"]).arg(folder)).context("making a virtual environment")?;
        let mut install = Command::new(&python);
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            PYTHON_PACKAGE,
        ]);
        quietly(&mut install).with_context(|| format!("installing {PYTHON_PACKAGE}"))?;
    }
    Ok(python)
}

/// Runs a command without its output; what it says last is the reason when it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.output().with_context(|| format!("starting {name}"))?;
    if !done.status.success() {
        let said = [done.stdout, done.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        bail!("{}", said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it failed and said nothing"));
    }
    Ok(())
}

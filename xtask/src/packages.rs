//! What a build needs from the system beside Rust: a C compiler, and `make` for LuaJIT. Installed when missing and when
//! this process may; told in words when not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub fn workspace() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    folder.canonicalize().with_context(|| format!("looking for {}", folder.display()))
}

/// Makes sure that the tools of a build are there.
pub fn ensure_build_tools() -> Result<()> {
    let missing: Vec<&str> = [("cc", "gcc"), ("make", "make")]
        .into_iter()
        .filter(|(tool, _)| !runs(tool))
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs Debian packages, when this process is root; otherwise says what to install.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !is_root() || !runs("apt-get") {
        bail!("the build needs: {names} (on Debian: apt-get install {names} libc6-dev)");
    }
    eprintln!("installing {names}");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends", "libc6-dev"])
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive");
    if succeed(&mut apt).is_err() {
        // A fresh image has no package lists.
        succeed(Command::new("apt-get").arg("update"))?;
        succeed(&mut apt)?;
    }
    Ok(())
}

/// Whether a program starts and knows `--version`.
pub fn runs(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}

/// Runs a command to its end; an error unless it succeeded.
pub fn succeed(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {name}"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

/// Whether the effective user is root: from `/proc/self/status`, so that no `unsafe` is needed.
pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        users.and_then(|users| users.split_whitespace().nth(1)) == Some("0")
    })
}

/// `cargo`, the one that runs this chore.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo tells this program of its package would be taken for a change by build scripts, and everything built anew.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    cargo
}

//! `cargo xtask test`: all tests of the workspace, after making sure that the build's tools are there.

use anyhow::Result;

use crate::packages::{cargo, ensure_build_tools, succeed, workspace};

/// Runs `cargo test --workspace` with `arguments` behind it.
pub fn run(arguments: &[String]) -> Result<()> {
    ensure_build_tools()?;
    succeed(cargo().current_dir(workspace()?).args(["test", "--workspace", "--quiet"]).args(arguments))
}

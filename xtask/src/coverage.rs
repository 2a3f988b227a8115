//! `cargo xtask coverage`: the table of docs/coverage.md, made by `eqlc coverage` from public rules, or a check of it.
//!
//! In: the rules beside the project, which are no part of it. Out: the text between two marks of the page. Without the rules
//! there is nothing to write or to compare, which is said.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::generated;

const RULES: &str = "../shared/data/rules";
const PAGE: &str = "docs/coverage.md";
const BEGIN: &str = "<!-- table: cargo xtask coverage -->\n";
const END: &str = "<!-- end of table -->\n";

/// Writes the table; with `check` compares it instead.
///
/// # Errors
/// When the command fails, the page has no marks, or, with `check`, the page is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    if !root.join(RULES).is_dir() {
        println!("coverage: skipped, no rules in {RULES}");
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--package", "eqlc-cli", "--", "coverage", RULES])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    // Status 1 says that some rule fails, which the table tells too.
    if output.status.code().is_none_or(|code| code > 1) {
        bail!("`eqlc coverage` ended with {}", output.status);
    }
    let table = String::from_utf8(output.stdout).context("`eqlc coverage` prints text")?;
    let page = std::fs::read_to_string(root.join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    with_table(&page, &table).with_context(|| format!("{PAGE} has no marks for the table"))?;
    generated::write("coverage", check, [PAGE], |_, found| with_table(found, &table).unwrap_or_default())?;
    println!("coverage: {}", table.lines().nth(1).unwrap_or_default().trim());
    Ok(())
}

fn with_table(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n```text\n{table}```\n\n{END}{after}"))
}

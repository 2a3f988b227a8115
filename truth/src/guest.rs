//! The first process of a virtual machine, which has nothing else on its disk.
//!
//! In: a kernel that has just started. Out: on the console, between lines that nothing else prints, what `doctor` says and what
//! the comparison found, each one JSON object; then the machine is off.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::sys;

/// What goes before each result on the console.
pub const MARK: &str = "@kestrel-truth@";

/// Makes a host of the bare machine, looks at it, and powers it off, whatever happened.
///
/// # Errors
/// Never returns in a virtual machine.
pub fn init() -> Result<u8> {
    anyhow::ensure!(std::process::id() == 1, "`init` is for the first process of a virtual machine");
    let result = prepare().and_then(|()| look());
    if let Err(error) = &result {
        println!("{MARK}error {error:#}");
    }
    println!("{MARK}end");
    sys::power_off();
    result.map(|()| 0)
}

fn prepare() -> Result<()> {
    for (kind, path) in [
        (c"proc", c"/proc"),
        (c"sysfs", c"/sys"),
        (c"devtmpfs", c"/dev"),
        (c"tmpfs", c"/tmp"),
        (c"cgroup2", c"/sys/fs/cgroup"),
        (c"tracefs", c"/sys/kernel/tracing"),
        (c"tmpfs", c"/run"),
        (c"securityfs", c"/sys/kernel/security"),
    ] {
        let folder = path.to_string_lossy().into_owned();
        // Below sysfs the folders are there.
        let _ = std::fs::create_dir_all(Path::new(&folder));
        if let Err(error) = sys::mount(kind, path) {
            println!("cannot mount {folder}: {error}");
        }
    }
    sys::loopback_up().context("cannot start the loopback")
}

fn look() -> Result<()> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("{MARK}kernel {}", release.trim());
    println!("{MARK}doctor {}", kestrel_engine::doctor::diagnose().json());
    let program = std::env::current_exe()?;
    let output = Command::new(program).args(["run", "--json"]).stderr(std::process::Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{MARK}truth {}", text.trim());
    println!("{MARK}status {}", output.status.code().unwrap_or(-1));
    Ok(())
}

//! `cargo xtask demo`: the main job, shown. Example rules to a pack, the pack over a recording, and as root the same pack
//! over this host for a few seconds, with a harmless process that a rule matches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::{cargo, ensure_build_tools, is_root, succeed, workspace};

/// The recording that the project ships, made by `cargo xtask record`.
const RECORDING: &str = "rules/demo/recording.klog";

/// The acts that are recorded: what an intruder's first minutes look like, harmless, and all in a folder of its own.
const WORKLOAD: &str = "rules/demo/workload.sh";

/// How long the live part runs, in seconds.
const LIVE_SECONDS: u64 = 4;

struct Built {
    root: PathBuf,
    eqlc: PathBuf,
    engine: PathBuf,
    pack: PathBuf,
}

/// Builds, replays, and unless told not to runs live.
pub fn run(replay_only: bool) -> Result<()> {
    let built = build()?;
    title("alerts over the recording that the project ships");
    succeed(Command::new(&built.engine).current_dir(&built.root).arg("--pack").arg(&built.pack).args(["--replay", RECORDING]))?;
    if replay_only {
        return Ok(());
    }
    title("live on this host");
    if !is_root() {
        println!("left out: live events need root (run `sudo cargo xtask demo`; `kestrel-engine doctor` shows what is there)");
        return Ok(());
    }
    let doctor = Command::new(&built.engine).arg("doctor").output().context("starting the engine's doctor")?;
    if !doctor.status.success() {
        println!("left out: this kernel offers no source of events; the doctor says\n{}", String::from_utf8_lossy(&doctor.stdout));
        return Ok(());
    }
    live(&built)
}

/// Records the workload to the file that the project ships.
pub fn record() -> Result<()> {
    let built = build()?;
    let recording = built.root.join(RECORDING);
    if recording.exists() {
        std::fs::remove_file(&recording).with_context(|| format!("removing {}", recording.display()))?;
    }
    let mut engine = Command::new(&built.engine)
        .arg("--pack")
        .arg(&built.pack)
        .arg("--record")
        .arg(&recording)
        .args(["--duration", "12"])
        .stdout(Stdio::null())
        .spawn()
        .context("starting the engine")?;
    std::thread::sleep(Duration::from_secs(2));
    succeed(Command::new("sh").current_dir("/").arg(built.root.join(WORKLOAD)))?;
    let status = engine.wait().context("waiting for the engine")?;
    if !status.success() {
        bail!("the engine failed: {status}");
    }
    succeed(Command::new(&built.engine).args(["log", "verify"]).arg(&recording))
}

fn build() -> Result<Built> {
    ensure_build_tools()?;
    let root = workspace()?;
    title("building the compiler and the engine");
    succeed(cargo().current_dir(&root).args(["build", "--package", "eqlc-cli", "--package", "kestrel-engine"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let bin = |name: &str| target.join("debug").join(name);
    let pack = target.join("demo").join("pack.kpkg");
    if let Some(folder) = pack.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let built = Built { eqlc: bin("eqlc"), engine: bin("kestrel-engine"), pack, root };
    title("eqlc build rules/ -o pack.kpkg");
    succeed(Command::new(&built.eqlc).current_dir(&built.root).args(["build", "rules/", "-o"]).arg(&built.pack))?;
    Ok(built)
}

/// The engine for a few seconds, beside it one process that the rule `demo-marker` looks for.
fn live(built: &Built) -> Result<()> {
    let engine = Command::new(&built.engine)
        .arg("--pack")
        .arg(&built.pack)
        .args(["--duration", &LIVE_SECONDS.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the engine")?;
    std::thread::sleep(Duration::from_millis(1500));
    println!("starting: sleep 0.1 kestrel-demo, under the name of a shell script");
    succeed(&mut marker())?;
    let output = engine.wait_with_output().context("waiting for the engine")?;
    let alerts = String::from_utf8_lossy(&output.stdout);
    print!("{alerts}");
    if !output.status.success() {
        bail!("the engine failed: {}", output.status);
    }
    if !alerts.contains("kestrel-demo") {
        bail!("the process that a rule matches was started, and no alert came");
    }
    Ok(())
}

/// A harmless process whose command line holds the marker.
fn marker() -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "true kestrel-demo-marker"]).stdin(Stdio::null()).current_dir(Path::new("/"));
    command
}

fn title(text: &str) {
    println!("\n== {text}");
}

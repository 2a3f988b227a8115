//! `cargo xtask demo`: the main job, shown. Example rules to a pack, the pack over a recording, and as root the same pack
//! over this host for a few seconds, with a harmless process that a rule matches.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

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
    println!("$ kestrel-engine --pack pack.kpkg --replay {RECORDING}");
    let replay = Command::new(&built.engine)
        .current_dir(&built.root)
        .arg("--pack")
        .arg(&built.pack)
        .args(["--replay", RECORDING])
        .stderr(Stdio::inherit())
        .output()
        .context("starting the engine")?;
    if !replay.status.success() {
        bail!("the engine failed: {}", replay.status);
    }
    let alerts = String::from_utf8(replay.stdout).context("alerts are UTF-8")?;
    let kept = built.pack.with_file_name("alerts.ndjson");
    std::fs::write(&kept, &alerts).with_context(|| format!("writing {}", kept.display()))?;
    alerts.lines().try_for_each(print_alert)?;
    let first: Json = serde_json::from_str(alerts.lines().next().context("the recording gives alerts")?)?;
    println!("\nthe first of them, as the engine writes it (on one line; all are in {}):", kept.display());
    println!("{}", serde_json::to_string_pretty(&first)?);
    if replay_only {
        return Ok(());
    }
    title("live on this host");
    if !is_root() {
        println!(
            "left out: live events need root (run `sudo cargo xtask demo`; `kestrel-engine doctor` shows what is there)"
        );
        return Ok(());
    }
    let doctor = Command::new(&built.engine).arg("doctor").output().context("starting the engine's doctor")?;
    if !doctor.status.success() {
        println!(
            "left out: this kernel offers no source of events; the doctor says\n{}",
            String::from_utf8_lossy(&doctor.stdout)
        );
        return Ok(());
    }
    live(&built)
}

/// Records the workload to the file that the project ships: the engine records the host, and the events of the
/// workload's own session are kept.
pub fn record() -> Result<()> {
    let built = build()?;
    let folder = std::env::temp_dir().join(format!("kestrel-record-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let (host, kept) = (folder.join("host.klog"), folder.join("kept.ndjson"));
    let script = folder.join("workload.sh");
    std::fs::copy(built.root.join(WORKLOAD), &script).context("copying the workload")?;
    let mut engine = Command::new(&built.engine)
        .arg("--pack")
        .arg(&built.pack)
        .arg("--record")
        .arg(&host)
        .args(["--duration", "9"])
        .stdout(Stdio::null())
        .spawn()
        .context("starting the engine")?;
    std::thread::sleep(Duration::from_secs(2));
    let mut workload = Command::new("setsid");
    workload
        .args(["--wait", "sh"])
        .arg(&script)
        .current_dir("/")
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    succeed(&mut workload)?;
    let status = engine.wait().context("waiting for the engine")?;
    if !status.success() {
        bail!("the engine failed: {status}");
    }
    let exported =
        Command::new(&built.engine).args(["log", "cat"]).arg(&host).output().context("reading the recording")?;
    let root = built.root.display().to_string();
    let lines: String = String::from_utf8(exported.stdout)
        .context("the recording is UTF-8")?
        .lines()
        .filter(|line| !line.contains(&root))
        .filter_map(|line| anonymous(line, &script))
        .map(|line| line + "\n")
        .collect();
    std::fs::write(&kept, &lines).with_context(|| format!("writing {}", kept.display()))?;
    let recording = built.root.join(RECORDING);
    if recording.exists() {
        std::fs::remove_file(&recording).with_context(|| format!("removing {}", recording.display()))?;
    }
    succeed(Command::new(&built.engine).args(["log", "import", "--output"]).arg(&recording).arg(&kept))?;
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    println!("{} events in {RECORDING}", lines.lines().count());
    succeed(Command::new(&built.engine).args(["log", "verify"]).arg(&recording))
}

/// The event, if its process belongs to the session that the workload's script leads, without what tells the machine:
/// its ids, and the process that everything on it descends from.
fn anonymous(line: &str, script: &Path) -> Option<String> {
    let mut event: Json = serde_json::from_str(line).ok()?;
    let leader = event.pointer("/process/session_leader/args")?.as_array()?;
    if !leader.iter().any(|argument| argument.as_str() == script.to_str()) {
        return None;
    }
    event.pointer_mut("/process")?.as_object_mut()?.remove("entry_leader");
    for (place, value) in
        [("/host/id", "demo"), ("/host/name", "demo"), ("/host/hostname", "demo"), ("/agent/id", "demo")]
    {
        if let Some(member) = event.pointer_mut(place) {
            *member = Json::from(value);
        }
    }
    Some(event.to_string())
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
    println!("starting: sh -c 'true kestrel-demo-marker'");
    succeed(&mut marker())?;
    let output = engine.wait_with_output().context("waiting for the engine")?;
    let alerts = String::from_utf8_lossy(&output.stdout);
    alerts.lines().try_for_each(print_alert)?;
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

/// One alert in one line for people.
fn print_alert(line: &str) -> Result<()> {
    let alert: Json = serde_json::from_str(line).with_context(|| format!("an alert is JSON: {line}"))?;
    let text = |place: &str| alert.pointer(place).and_then(Json::as_str).unwrap_or("-");
    println!("{}  {:8}  {}", text("/@timestamp"), text("/rule/severity"), text("/message"));
    Ok(())
}

fn title(text: &str) {
    println!("\n== {text}");
}

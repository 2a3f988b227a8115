//! One machine: started, listened to, ended.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use super::Answer;
use super::image::Kernel;

/// What goes before each result on the serial line; `kestrel-truth` has it too.
const MARK: &str = "@kestrel-truth@";

/// Ends the machine, whatever happens here.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Boots a kernel and waits for its answer.
pub(super) fn boot(kernel: &Kernel, initial: &Path, time: Duration, verbose: bool) -> Result<Answer> {
    println!("vm: {} boots", kernel.release);
    let begun = Instant::now();
    let parameters =
        "console=ttyS0 quiet loglevel=1 panic=-1 rdinit=/kestrel-truth KESTREL_TRUTH_MODULE=/dummy.ko -- init";
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536", "-no-reboot", "-nodefaults"]);
    qemu.args(["-display", "none", "-serial", "stdio", "-append", parameters]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initial);
    let child =
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("starting QEMU")?;
    let mut machine = Machine(child);
    let output = machine.0.stdout.take().context("its serial line")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        // The serial line is not only text.
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let mut answer = Answer { kernel: kernel.release.clone(), doctor: Json::Null, truth: Json::Null };
    let mut said = Vec::new();
    loop {
        let left = time.saturating_sub(begun.elapsed());
        let line = match lines.recv_timeout(left) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("no end within {} s; it said last:\n{}", time.as_secs(), last(&said))
            }
            Err(RecvTimeoutError::Disconnected) => bail!("it went before its end; it said last:\n{}", last(&said)),
        };
        if verbose {
            println!("{} | {line}", kernel.release);
        }
        // What the kernel prints may stand before it on the line.
        match line.split_once(MARK).map(|(_, told)| told.split_once(' ').unwrap_or((told, ""))) {
            Some(("end", _)) => break,
            Some(("error", error)) => bail!("in the machine: {error}\n{}", last(&said)),
            Some(("doctor", text)) => answer.doctor = serde_json::from_str(text).context("doctor's answer")?,
            Some(("truth", "")) => {}
            Some(("truth", text)) => answer.truth = serde_json::from_str(text).context("the comparison")?,
            _ => said.push(line),
        }
    }
    if answer.truth.is_null() {
        bail!("the suite found nothing to compare:\n{}", last(&said));
    }
    println!("vm: {} answered after {} s", kernel.release, begun.elapsed().as_secs());
    Ok(answer)
}

fn last(said: &[String]) -> String {
    said[said.len().saturating_sub(40)..].join("\n")
}

/// The same on this host.
pub(super) fn here(program: &Path) -> Result<Answer> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let run = |arguments: &[&str]| -> Result<Json> {
        let output = Command::new(program).args(arguments).stderr(Stdio::null()).output()?;
        serde_json::from_slice(&output.stdout).with_context(|| format!("`kestrel-truth {}`", arguments.join(" ")))
    };
    Ok(Answer {
        // Without what its builder calls it.
        kernel: format!("{} (here)", release.trim().split('-').next().unwrap_or_default()),
        doctor: run(&["doctor"])?,
        truth: run(&["run", "--json"])?,
    })
}

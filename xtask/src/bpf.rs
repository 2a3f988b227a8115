//! `cargo xtask bpf`: builds the kernel programs, or proves that the object that is checked in is what they build to.
//!
//! Goes in: `bpf/programs/kestrel.bpf.c` and its headers. Comes out: `bpf/kestrel.bpf.o`, byte for byte the same in any
//! folder: paths are mapped away, DWARF is stripped, BTF (which the loader needs) stays. The compiler is clang-19 with
//! libbpf's helper headers and the kernel's exported ones; where it is missing it is installed with apt-get for root, and
//! named for everybody else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

const SOURCE: &str = "programs/kestrel.bpf.c";
const OBJECT: &str = "kestrel.bpf.o";
const CLANG: &str = "clang-19";
const STRIP: &str = "llvm-strip-19";
/// Debian packages: the compiler, `llvm-strip-19`, `bpf/*.h` and `linux/*.h`.
const PACKAGES: [&str; 4] = ["clang-19", "llvm-19", "libbpf-dev", "linux-libc-dev"];

/// Builds the object in its place, or with `check` in a temporary one and compares it with the one that is checked in.
pub fn run(check: bool) -> anyhow::Result<()> {
    let folder = bpf_folder()?;
    ensure_compiler()?;
    let checked_in = folder.join(OBJECT);
    let built = std::env::temp_dir().join(format!("kestrel-bpf-{}.o", std::process::id()));
    let result = compile(&folder, &built).and_then(|()| {
        let bytes = std::fs::read(&built).with_context(|| format!("reading {}", built.display()))?;
        if check { compare(&checked_in, &bytes) } else { replace(&checked_in, &bytes) }
    });
    // Whatever happened, the temporary object is of no further use; that it may not exist is no error.
    let _ = std::fs::remove_file(&built);
    result
}

fn bpf_folder() -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf");
    folder.canonicalize().with_context(|| format!("looking for {}", folder.display()))
}

fn compare(checked_in: &Path, fresh: &[u8]) -> anyhow::Result<()> {
    let old = std::fs::read(checked_in).with_context(|| format!("reading {}", checked_in.display()))?;
    if old != fresh {
        bail!(
            "{} is stale: its sources build to {} other bytes (it has {}); run `cargo xtask bpf` and commit the object",
            checked_in.display(),
            fresh.len(),
            old.len()
        );
    }
    println!("{} is fresh ({} bytes)", checked_in.display(), fresh.len());
    Ok(())
}

fn replace(checked_in: &Path, fresh: &[u8]) -> anyhow::Result<()> {
    let changed = std::fs::read(checked_in).map_or(true, |old| old != fresh);
    if changed {
        std::fs::write(checked_in, fresh).with_context(|| format!("writing {}", checked_in.display()))?;
    }
    let word = if changed { "written" } else { "unchanged" };
    println!("{} {word} ({} bytes)", checked_in.display(), fresh.len());
    Ok(())
}

fn compile(folder: &Path, object: &Path) -> anyhow::Result<()> {
    // Relative names in, mapped names out: neither the folder nor the machine shows in the object.
    let mut clang = Command::new(CLANG);
    clang
        .current_dir(folder)
        .args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-std=gnu11"])
        .args(["-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror"])
        .arg(format!("-ffile-prefix-map={}=.", folder.display()))
        .arg("-fdebug-compilation-dir=.")
        // System call arguments stand in registers that differ by architecture.
        .args(["-I", "include", "-D__TARGET_ARCH_x86"])
        // `asm/types.h` is in the multiarch folder, where `-target bpf` does not look.
        .arg("-isystem")
        .arg(format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH))
        .args(["-c", SOURCE, "-o"])
        .arg(object);
    succeed(&mut clang)?;
    succeed(Command::new(STRIP).arg("-g").arg(object))
}

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {name}"))?;
    if !status.success() {
        bail!("{name} failed: {status}");
    }
    Ok(())
}

fn ensure_compiler() -> anyhow::Result<()> {
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success());
    let ready = || runs(CLANG) && runs(STRIP) && Path::new("/usr/include/bpf/bpf_helpers.h").exists();
    if ready() {
        return Ok(());
    }
    let packages = PACKAGES.join(" ");
    if !is_root() {
        bail!("the kernel programs need {CLANG}, {STRIP} and libbpf's headers: apt-get install {packages}");
    }
    eprintln!("installing {packages}");
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(PACKAGES).env("DEBIAN_FRONTEND", "noninteractive");
    if succeed(&mut apt).is_err() {
        // A fresh image has no package lists.
        succeed(Command::new("apt-get").arg("update"))?;
        succeed(&mut apt)?;
    }
    if !ready() {
        bail!("{packages} are installed, and still {CLANG} or {STRIP} does not run");
    }
    Ok(())
}

/// Whether this process may install packages: the effective user of `/proc/self/status`, so that no `unsafe` is needed.
fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        let users = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        users.and_then(|users| users.split_whitespace().nth(1)) == Some("0")
    })
}

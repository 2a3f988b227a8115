//! `cargo xtask predicates`: builds the example predicates, or proves that the modules that are checked in are what their
//! sources build to.
//!
//! Goes in: `rules/handwritten/src/*.rs` and `*.c` and the generated bindings. Comes out: `rules/handwritten/*.wasm`, and
//! which compilers made them, in `src/built-with.txt`. Another version of a compiler makes other bytes, so that the check
//! is left out with a word where the compilers are others or are not there: a build and the tests need none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

/// Each module's name, and its source.
const MODULES: [(&str, &str); 2] = [("lookalike", "lookalike.rs"), ("third_failure", "third_failure.c")];
const CLANG: &str = "clang-19";
const TARGET: &str = "wasm32-unknown-unknown";

/// Builds the modules in their place, or with `check` in a temporary folder and compares them.
///
/// # Errors
/// When a compiler is missing (without `check`), a source does not compile, or, with `check`, a module is stale.
pub fn run(check: bool) -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace's root")?;
    let folder = root.join("rules/handwritten");
    let record = folder.join("src/built-with.txt");
    let tools = match Tools::find() {
        Ok(tools) => tools,
        Err(missing) if check => {
            println!("predicates: not checked, {missing}");
            return Ok(());
        }
        Err(missing) => return Err(missing),
    };
    let recorded = fs::read_to_string(&record).unwrap_or_default();
    if check && recorded != tools.versions {
        println!("predicates: not checked, they were built with\n{recorded}and here is\n{}", tools.versions);
        return Ok(());
    }
    let built = std::env::temp_dir().join(format!("kestrel-predicates-{}", std::process::id()));
    fs::create_dir_all(&built).with_context(|| format!("cannot create {}", built.display()))?;
    let result =
        MODULES.iter().try_for_each(|(name, source)| module(&tools, root, &folder, &built, name, source, check));
    // Whatever happened, the temporary folder is of no further use.
    let _ = fs::remove_dir_all(&built);
    result?;
    if !check {
        fs::write(&record, &tools.versions).with_context(|| format!("cannot write {}", record.display()))?;
    }
    Ok(())
}

fn module(
    tools: &Tools,
    root: &Path,
    folder: &Path,
    built: &Path,
    name: &str,
    source: &str,
    check: bool,
) -> anyhow::Result<()> {
    let path = folder.join("src").join(source);
    let fresh = built.join(format!("{name}.wasm"));
    match source.ends_with(".rs") {
        true => tools.compile_rust(root, &path, name, &fresh)?,
        false => tools.compile_c(root, &path, &fresh)?,
    }
    let bytes = fs::read(&fresh).with_context(|| format!("cannot read {}", fresh.display()))?;
    let place = folder.join(format!("{name}.wasm"));
    if fs::read(&place).is_ok_and(|found| found == bytes) {
        println!("{} is fresh ({} bytes)", place.display(), bytes.len());
        return Ok(());
    }
    if check {
        bail!("{} is stale; run `cargo xtask predicates` and commit it", place.display());
    }
    fs::write(&place, &bytes).with_context(|| format!("cannot write {}", place.display()))?;
    println!("{} written ({} bytes)", place.display(), bytes.len());
    Ok(())
}

/// The compilers that are here.
struct Tools {
    linker: PathBuf,
    versions: String,
}

impl Tools {
    fn find() -> anyhow::Result<Tools> {
        let libraries = output(Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]))?;
        if !Path::new(libraries.trim()).is_dir() {
            bail!("`rustup target add {TARGET}` would make it possible");
        }
        let rust = output(Command::new("rustc").arg("--version"))?;
        let clang = output(Command::new(CLANG).arg("--version"))
            .with_context(|| format!("`{CLANG}` is not there; `apt-get install {CLANG}` would make it possible"))?;
        let clang = clang.lines().next().unwrap_or_default();
        // The linker that comes with the Rust compiler, so that C needs none of its own.
        let root = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let host = output(Command::new("rustc").arg("-vV"))?;
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let linker = Path::new(root.trim()).join("lib/rustlib").join(host).join("bin/rust-lld");
        if !linker.is_file() {
            bail!("the Rust compiler here has no `rust-lld`");
        }
        Ok(Tools { linker, versions: format!("{}\n{clang}\n", rust.trim()) })
    }

    fn compile_rust(&self, root: &Path, source: &Path, name: &str, module: &Path) -> anyhow::Result<()> {
        let mut command = Command::new("rustc");
        command
            .args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", name, "--target", TARGET])
            .args(["-C", "opt-level=s", "-C", "panic=abort", "-C", "strip=symbols", "-C", "debuginfo=0"])
            .args(["-C", "link-arg=-zstack-size=4096", "-C", "link-arg=--initial-memory=65536"])
            .arg(format!("--remap-path-prefix={}=", root.display()))
            .arg("-o")
            .args([module, source]);
        output(&mut command).map(|_| ())
    }

    fn compile_c(&self, root: &Path, source: &Path, module: &Path) -> anyhow::Result<()> {
        let object = module.with_extension("o");
        let mut command = Command::new(CLANG);
        command
            .args([
                "--target=wasm32-unknown-unknown",
                "-Os",
                "-nostdlib",
                "-ffreestanding",
                "-Wall",
                "-Wextra",
                "-Werror",
            ])
            .arg("-I")
            .arg(root.join("engine/include"))
            .args(["-c", "-o"])
            .args([&object, source]);
        output(&mut command)?;
        let mut command = Command::new(&self.linker);
        command
            .args(["-flavor", "wasm", "--no-entry", "--strip-all", "-z", "stack-size=4096"])
            .args(["--initial-memory=131072", "-o"])
            .args([module, &object]);
        output(&mut command).map(|_| ())
    }
}

/// Runs a command; its standard output, or its standard error as an error.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    if !done.status.success() {
        bail!("{} failed: {}", command.get_program().display(), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

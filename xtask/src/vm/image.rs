//! What a virtual machine starts from: a kernel, and the archive that is its whole disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::packages::succeed;

/// A kernel that was unpacked.
pub(super) struct Kernel {
    /// Its release.
    pub(super) release: String,
    /// The file that a machine starts.
    pub(super) image: PathBuf,
    /// A module to load, small and without others that it needs.
    pub(super) module: PathBuf,
}

/// The newest cloud kernel of a series: from what is kept, else from Debian.
pub(super) fn kernel(folder: &Path, series: &str) -> Result<Kernel> {
    let package = match kept(folder, series)? {
        Some(package) => package,
        None => {
            let name = newest(series)?;
            println!("vm: fetching {name}");
            succeed(Command::new("apt-get").args(["download", &name]).current_dir(folder).stdout(Stdio::null()))
                .with_context(|| format!("cannot fetch {name}; the machines need a network for the first time"))?;
            kept(folder, series)?.with_context(|| format!("{name} was fetched and is not there"))?
        }
    };
    let name = package.file_name().and_then(|name| name.to_str()).context("a package's name")?;
    let release =
        name.strip_prefix("linux-image-").and_then(|name| name.split('_').next()).context("a kernel's package")?;
    let unpacked = folder.join(release);
    if !unpacked.join("boot").is_dir() {
        succeed(Command::new("dpkg-deb").arg("-x").args([&package, &unpacked]))?;
    }
    let drivers = unpacked.join(format!("lib/modules/{release}/kernel/drivers/net"));
    let module = folder.join(format!("{release}.dummy.ko"));
    if !module.exists() {
        let plain = drivers.join("dummy.ko");
        if plain.exists() {
            fs::copy(plain, &module)?;
        } else {
            let out = Command::new("xz").args(["-dc"]).arg(drivers.join("dummy.ko.xz")).output()?;
            ensure!(out.status.success(), "cannot unpack the module of {release}");
            fs::write(&module, out.stdout)?;
        }
    }
    Ok(Kernel { image: unpacked.join(format!("boot/vmlinuz-{release}")), release: release.to_owned(), module })
}

fn kept(folder: &Path, series: &str) -> Result<Option<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix("linux-image-").and_then(|name| name.strip_prefix(series));
        if rest.is_some_and(|rest| rest.starts_with('.')) && name.ends_with(".deb") {
            found.push(folder.join(name));
        }
    }
    found.sort();
    Ok(found.pop())
}

fn newest(series: &str) -> Result<String> {
    let pattern = format!("^linux-image-{}\\.[0-9a-z.+]*(-[0-9]+)?-cloud-amd64$", series.replace('.', "\\."));
    let list = || -> Result<Vec<String>> {
        let output =
            Command::new("apt-cache").args(["search", "--names-only", &pattern]).output().context("apt-cache")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
    };
    let mut names = list()?;
    if names.is_empty() {
        // A fresh image has no package lists.
        succeed(Command::new("apt-get").arg("update").stdout(Stdio::null()))?;
        names = list()?;
    }
    // By the numbers in them, as people compare versions.
    names.sort_by_cached_key(|name| {
        name.split(|character: char| !character.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect::<Vec<u64>>()
    });
    match names.pop() {
        Some(name) => Ok(name),
        None => bail!("no package of a cloud kernel {series} is known here"),
    }
}

/// The archive that is the machine's disk: the program, its libraries, who is who, and a module.
pub(super) fn initial(folder: &Path, kernel: &Kernel, program: &Path) -> Result<PathBuf> {
    let root = folder.join(format!("{}.root", kernel.release));
    let _ = fs::remove_dir_all(&root);
    for name in ["proc", "sys", "dev", "tmp", "run", "etc"] {
        fs::create_dir_all(root.join(name))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    fs::write(root.join("etc/machine-id"), "6b65737472656c7472757468766d0001\n")?;
    fs::copy(&kernel.module, root.join("dummy.ko"))?;
    let stripped = root.join("kestrel-truth");
    fs::copy(program, &stripped)?;
    // Without its names it is half as large; where there is no tool for that, it is large.
    let _ = Command::new("strip").arg(&stripped).status();
    for library in libraries(program)? {
        let place = root.join(library.strip_prefix("/").context("an absolute path")?);
        fs::create_dir_all(place.parent().context("a library lies in a folder")?)?;
        fs::copy(&library, place)?;
    }
    let archive = folder.join(format!("{}.cpio", kernel.release));
    let script = "find . | cpio --quiet -o -H newc";
    let out = fs::File::create(&archive)?;
    succeed(Command::new("sh").args(["-c", script]).current_dir(&root).stdout(out))?;
    fs::remove_dir_all(&root)?;
    Ok(archive)
}

/// The libraries that a program is started with, and what starts it; none for a static one.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(PathBuf::from);
    Ok(text.lines().filter_map(path).collect())
}

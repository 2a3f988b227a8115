//! The one place of the front end that reads the disk, for the commands.
//!
//! In: paths of files and directories. Out: (path, text) pairs in name order, `.eql` and `.toml` below directories.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file or directory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct ReadError {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

// No rule file is near this; a larger file is not a rule but a mistake.
const LARGEST_FILE: u64 = 16 << 20;

/// Reads the files at and below the paths. A path that is a file is read whatever its ending.
///
/// # Errors
/// The first file or directory that cannot be read, or is larger than 16 MiB.
pub fn read(paths: &[PathBuf]) -> Result<Vec<(String, String)>, ReadError> {
    let mut found = Vec::new();
    for path in paths {
        let failed = |source| ReadError { path: path.clone(), source };
        if fs::metadata(path).map_err(failed)?.is_dir() {
            collect(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    found.into_iter().map(|path| Ok((path.display().to_string(), read_text(&path)?))).collect()
}

fn read_text(path: &Path) -> Result<String, ReadError> {
    let failed = |source| ReadError { path: path.to_path_buf(), source };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB")));
    }
    // What is not UTF-8 is a mistake of that one rule: its bytes become characters that no rule has, and are reported.
    let bytes = fs::read(path).map_err(failed)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Links to directories are not followed, so that a circle of them ends.
fn collect(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let failed = |source| ReadError { path: directory.to_path_buf(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        entries.push((entry.path(), entry.file_type().map_err(failed)?));
    }
    entries.sort_by(|(left, _), (right, _)| left.cmp(right));
    for (path, kind) in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        // A rule's tests lie beside it; they are read when the rule names them.
        let test = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(".test.toml"));
        let rule = !test && path.extension().is_some_and(|ending| ending == "eql" || ending == "toml");
        if kind.is_dir() && !hidden {
            collect(&path, found)?;
        } else if rule && !hidden && path.is_file() {
            // Pipes, devices and links to nowhere are no rules.
            found.push(path);
        }
    }
    Ok(())
}

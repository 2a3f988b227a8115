//! The one place of the front end that reads the disk, for the commands.
//!
//! In: paths of files and directories. Out: (path, text) pairs in name order, `.eql` and `.toml` below directories.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kestrel_ir::pack::MAX_PROGRAM;

use super::errors::ProgramUnusable;
use super::{RuleSet, RuleSource, load_all};
use crate::diagnostics::Diagnostic;

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

/// Reads the rules at and below the paths, and the code of their hand-written predicates.
///
/// # Errors
/// The first file or directory that cannot be read. Code that cannot be read is a mistake of its rule, and reported.
pub fn load(paths: &[PathBuf]) -> Result<RuleSet, ReadError> {
    Ok(load_sources(read(paths)?))
}

/// The rules of files that were read, and the code of their hand-written predicates, which lies beside them. Code that
/// cannot be read is a mistake of its rule, and reported.
pub fn load_sources(sources: impl IntoIterator<Item = (String, String)>) -> RuleSet {
    let mut set = load_all(sources);
    let RuleSet { rules, reported, .. } = &mut set;
    rules.retain_mut(|rule| match read_predicate(rule) {
        Ok(()) => true,
        Err(diagnostic) => {
            reported.push((Arc::clone(&rule.source), vec![*diagnostic]));
            false
        }
    });
    set
}

/// Reads the code of a rule's hand-written predicate, if it has one, from beside the rule's file.
///
/// # Errors
/// Why it cannot be read.
pub fn read_predicate(rule: &mut RuleSource) -> Result<(), Box<Diagnostic>> {
    let folder = Path::new(&rule.path).parent().unwrap_or(Path::new(""));
    let Some(predicate) = &mut rule.predicate else { return Ok(()) };
    match read_code(folder, &predicate.source) {
        Ok(code) => {
            predicate.code = Some(code.into());
            Ok(())
        }
        Err(error) => {
            let (span, source) = (predicate.source_span, predicate.source.clone());
            Err(Box::new(ProgramUnusable { span, source, reason: format!("it cannot be read: {error}") }.into()))
        }
    }
}

fn read_code(folder: &Path, source: &str) -> io::Result<Vec<u8>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Where links lead: what goes into a pack lies with its rule, whoever wrote the rule.
    let path = folder.join(source).canonicalize()?;
    if !path.starts_with(folder.canonicalize()?) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "a link leads out of the rule's folder"));
    }
    if !fs::metadata(&path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut code = Vec::new();
    fs::File::open(path)?.take(MAX_PROGRAM as u64 + 1).read_to_end(&mut code)?;
    if code.len() > MAX_PROGRAM {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {MAX_PROGRAM} bytes")));
    }
    Ok(code)
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

//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The files are read when a number is not known, at most every ten seconds. No name service is asked: that could block,
//! or run code of others in this process. A number without a name has none in the event.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const REREAD_AFTER: Duration = Duration::from_secs(10);
/// A file beyond this size is not read further.
const SIZE_LIMIT: u64 = 16 << 20;

/// The names in one file.
pub(super) struct Names {
    file: PathBuf,
    names: HashMap<u32, Box<str>>,
    read: Option<Instant>,
}

impl Names {
    pub(super) fn new(file: &str) -> Self {
        Names { file: PathBuf::from(file), names: HashMap::new(), read: None }
    }

    /// The name of a number.
    pub(super) fn name(&mut self, number: u32) -> Option<&str> {
        let stale = self.read.is_none_or(|read| read.elapsed() > REREAD_AFTER);
        if stale && !self.names.contains_key(&number) {
            self.names = parse(&read_limited(&self.file));
            self.read = Some(Instant::now());
        }
        self.names.get(&number).map(Box::as_ref)
    }
}

fn read_limited(file: &Path) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|file| file.take(SIZE_LIMIT).read_to_end(&mut bytes));
    // A file that cannot be read has no names, as in a container without users.
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Lines of `name:password:number:…`; the first name of a number counts, as in getpwuid(3).
fn parse(text: &str) -> HashMap<u32, Box<str>> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut columns = line.split(':');
        if let (Some(name), Some(_), Some(Ok(number))) =
            (columns.next(), columns.next(), columns.next().map(str::parse))
        {
            names.entry(number).or_insert_with(|| name.into());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_number_counts_and_bad_lines_do_not() {
        let names = parse("root:x:0:0::/root:/bin/sh\ntoor:x:0:0\n# comment\nbad:x:many\nww:x:33:33\n");
        assert_eq!(names.get(&0).map(Box::as_ref), Some("root"));
        assert_eq!(names.get(&33).map(Box::as_ref), Some("ww"));
        assert_eq!(names.len(), 2);
    }
}

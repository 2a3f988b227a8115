//! Names of users and groups, from `/etc/passwd` and `/etc/group`.
//!
//! The files are looked at when a name is asked for, at most every ten seconds, and read if they have changed. They are the
//! host's: a number within a container has the name that it has outside. No name service is asked: that could block,
//! or run code of others in this process. A number without a name has none in the event.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const LOOK_AFTER: Duration = Duration::from_secs(10);
/// A file beyond this size is not read further.
const SIZE_LIMIT: u64 = 16 << 20;

/// The names in one file.
pub(super) struct Names {
    file: PathBuf,
    names: HashMap<u32, Box<str>>,
    looked: Option<Instant>,
    /// What was read: inode, size, and when it was changed.
    version: Option<(u64, u64, i64, i64)>,
}

impl Names {
    pub(super) fn new(file: &str) -> Self {
        Names { file: PathBuf::from(file), names: HashMap::new(), looked: None, version: None }
    }

    /// The name of a number.
    pub(super) fn name(&mut self, number: u32) -> Option<&str> {
        if self.looked.is_none_or(|looked| looked.elapsed() > LOOK_AFTER) {
            self.looked = Some(Instant::now());
            self.look();
        }
        self.names.get(&number).map(Box::as_ref)
    }
}

impl Names {
    /// Reads the file if it is another one than before.
    fn look(&mut self) {
        let data = std::fs::metadata(&self.file).ok();
        let version = data.map(|data| (data.ino(), data.size(), data.ctime(), data.ctime_nsec()));
        if version.is_none() || version != self.version {
            self.names = parse(&read_limited(&self.file));
            self.version = version;
        }
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

    #[test]
    fn a_changed_file_is_read_again() {
        let file = std::env::temp_dir().join(format!("kestrel-names-{}", std::process::id()));
        std::fs::write(&file, "first:x:7:7\n").expect("a file of our own");
        let mut names = Names::new(file.to_str().expect("UTF-8"));
        assert_eq!(names.name(7), Some("first"));
        std::fs::write(&file, "second-name:x:7:7\n").expect("a file of our own");
        assert_eq!(names.name(7), Some("first"), "not looked at again so soon");
        names.look();
        assert_eq!(names.name(7), Some("second-name"));
        std::fs::remove_file(&file).expect("a file of our own");
        names.look();
        assert_eq!(names.name(7), None);
    }
}

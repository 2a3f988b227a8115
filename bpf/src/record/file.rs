//! Records about files, of which all kinds have one form.

use super::bytes::{Reader, Writer};
use super::{Flags, RecordError, ReversedPath};
use crate::layout;

/// Sections of a file record's tail, as in `kestrel_records_file.h`.
pub mod section {
    /// The file's path, or the folder that its name counts from.
    pub const PATH: usize = 0;
    /// Its name, as the process gave it.
    pub const NAME: usize = 1;
    /// The same of the other file.
    pub const OTHER_PATH: usize = 2;
    /// The same of the other file.
    pub const OTHER_NAME: usize = 3;
}

const KNOWN_INODE: u32 = 1;
const KNOWN_MODE: u32 = 2;
const KNOWN_TYPE: u32 = 4;
const KNOWN_UID: u32 = 8;
const KNOWN_GID: u32 = 16;
const KNOWN_ORIGINAL: u32 = 32;
const KNOWN_FLAGS: u32 = 64;

#[cfg(test)]
pub(crate) const KNOWN_BITS: &[(&str, u32)] = &[
    ("INODE", KNOWN_INODE),
    ("MODE", KNOWN_MODE),
    ("TYPE", KNOWN_TYPE),
    ("UID", KNOWN_UID),
    ("GID", KNOWN_GID),
    ("ORIGINAL", KNOWN_ORIGINAL),
    ("FLAGS", KNOWN_FLAGS),
];

/// `S_IFMT`: the part of a mode that says the type.
const TYPE: u32 = 0o170_000;

/// How a file is named: a name below a folder, or the folder's path alone, which then is the file's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileName<'r> {
    /// Where the name counts from; empty when it begins with a slash.
    pub folder: ReversedPath<'r>,
    /// The process's own text; empty for a file that the kernel knew open.
    pub name: &'r [u8],
}

/// What a file was before a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Original {
    /// Type and permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// A file, and what became of it; which of its values are known depends on kind and source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File<'r> {
    /// Which file; after rename and link under its new name.
    pub name: FileName<'r>,
    /// rename: under its old name. link: the file that has one more name, or the text of a symbolic link.
    pub other: Option<FileName<'r>>,
    /// Inode number, and size in bytes.
    pub inode: Option<(u64, u64)>,
    /// Type, as the `S_IFMT` part of a mode.
    pub file_type: Option<u32>,
    /// Permissions.
    pub permissions: Option<u32>,
    /// Owner, in the initial user namespace; of a file that was only named as the process counts.
    pub uid: Option<u32>,
    /// Group, likewise.
    pub gid: Option<u32>,
    /// What it was before fchmod or fchown.
    pub original: Option<Original>,
    /// open: `O_*`. rename: `RENAME_*`, and 0 when not given.
    pub flags: Option<u32>,
}

impl<'r> File<'r> {
    pub(super) fn parse(reader: Reader<'r>, flags: Flags) -> Result<Self, RecordError> {
        use layout::file::*;
        let name = |path: usize, name: usize| {
            let text = reader.section(name)?;
            Ok(FileName {
                folder: ReversedPath::new(reader.section(path)?, flags.section(path).complete()),
                name: text.strip_suffix(b"\0").unwrap_or(text),
            })
        };
        let there = |index: usize| Ok(!reader.section(index)?.is_empty() || flags.section(index).unreadable());
        let other = there(section::OTHER_PATH)? || there(section::OTHER_NAME)?;
        let known = reader.fixed_u32(KNOWN)?;
        let number = |bit: u32, offset| Ok((known & bit != 0).then_some(reader.fixed_u32(offset)?));
        let original = Original {
            mode: reader.fixed_u32(ORIGINAL_MODE)?,
            uid: reader.fixed_u32(ORIGINAL_UID)?,
            gid: reader.fixed_u32(ORIGINAL_GID)?,
        };
        let inode = (reader.fixed_u64(INODE)?, reader.fixed_u64(LENGTH)?);
        Ok(File {
            name: name(section::PATH, section::NAME)?,
            other: if other { Some(name(section::OTHER_PATH, section::OTHER_NAME)?) } else { None },
            inode: (known & KNOWN_INODE != 0).then_some(inode),
            file_type: number(KNOWN_TYPE, MODE)?.map(|mode| mode & TYPE),
            permissions: number(KNOWN_MODE, MODE)?.map(|mode| mode & !TYPE),
            uid: number(KNOWN_UID, UID)?,
            gid: number(KNOWN_GID, GID)?,
            original: (known & KNOWN_ORIGINAL != 0).then_some(original),
            flags: number(KNOWN_FLAGS, FLAGS)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        use layout::file::*;
        let bits = [
            (self.inode.is_some(), KNOWN_INODE),
            (self.permissions.is_some(), KNOWN_MODE),
            (self.file_type.is_some(), KNOWN_TYPE),
            (self.uid.is_some(), KNOWN_UID),
            (self.gid.is_some(), KNOWN_GID),
            (self.original.is_some(), KNOWN_ORIGINAL),
            (self.flags.is_some(), KNOWN_FLAGS),
        ];
        let known: u32 = bits.into_iter().filter(|&(there, _)| there).map(|(_, bit)| bit).sum();
        let (inode, length) = self.inode.unwrap_or_default();
        writer.fixed(INODE, &inode.to_le_bytes());
        writer.fixed(LENGTH, &length.to_le_bytes());
        let mode = self.file_type.unwrap_or_default() | self.permissions.unwrap_or_default();
        let original = self.original.unwrap_or(Original { mode: 0, uid: 0, gid: 0 });
        for (offset, value) in [
            (MODE, mode),
            (UID, self.uid.unwrap_or_default()),
            (GID, self.gid.unwrap_or_default()),
            (ORIGINAL_MODE, original.mode),
            (ORIGINAL_UID, original.uid),
            (ORIGINAL_GID, original.gid),
            (FLAGS, self.flags.unwrap_or_default()),
            (KNOWN, known),
        ] {
            writer.fixed(offset, &value.to_le_bytes());
        }
        let none = FileName { folder: ReversedPath::new(b"", true), name: b"" };
        let other = self.other.unwrap_or(none);
        for (path, name, file) in
            [(section::PATH, section::NAME, self.name), (section::OTHER_PATH, section::OTHER_NAME, other)]
        {
            writer.section(path, file.folder.as_bytes());
            match file.name {
                b"" => writer.section(name, b""),
                text => writer.section(name, &[text, b"\0"].concat()),
            }
        }
    }
}

impl FileName<'_> {
    /// Appends the absolute path: the name below its folder, with `.` and `..` and doubled slashes resolved as text.
    /// Symbolic links on the way are not looked at. A path whose beginning is missing has no leading slash.
    ///
    /// ```
    /// use kestrel_bpf::record::{FileName, ReversedPath};
    ///
    /// let name = FileName { folder: ReversedPath::new(b"src\0home\0", true), name: b"../etc/./passwd" };
    /// let mut path = String::new();
    /// name.write_to(&mut path);
    /// assert_eq!(path, "/home/etc/passwd");
    /// ```
    pub fn write_to(&self, out: &mut String) {
        let start = out.len();
        if self.name.is_empty() {
            return self.folder.write_to(out);
        }
        let absolute = self.name.starts_with(b"/");
        if !absolute {
            self.folder.write_to(out);
            // The root is a slash, which each name brings itself.
            if out.get(start..) == Some("/") {
                out.truncate(start);
            }
        }
        let rooted = absolute || self.folder.is_complete();
        for component in self.name.split(|&byte| byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    let cut = out.get(start..).and_then(|path| path.rfind('/')).unwrap_or(0);
                    out.truncate(start + cut);
                }
                component => {
                    if rooted || out.len() > start {
                        out.push('/');
                    }
                    super::push_lossy(out, component);
                }
            }
        }
        if out.len() == start && rooted {
            out.push('/');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_from_their_folder_and_stay_below_the_root() {
        let cases: [(&[u8], bool, &[u8], &str); 12] = [
            (b"b\0a\0", true, b"", "/a/b"),
            (b"b\0a\0", true, b"c", "/a/b/c"),
            (b"b\0a\0", true, b"./c//d/", "/a/b/c/d"),
            (b"b\0a\0", true, b"../c", "/a/c"),
            (b"b\0a\0", true, b"../../../c", "/c"),
            (b"", true, b"c", "/c"),
            (b"", true, b"..", "/"),
            (b"", true, b"/x/../y", "/y"),
            (b"", true, b"/", "/"),
            (b"b\0a\0", false, b"c", "a/b/c"),
            (b"", false, b"c", "c"),
            (b"", false, b"", ""),
        ];
        for (folder, complete, name, expected) in cases {
            let mut path = String::from("before:");
            FileName { folder: ReversedPath::new(folder, complete), name }.write_to(&mut path);
            assert_eq!(path.strip_prefix("before:"), Some(expected), "{name:?} below {folder:?}");
        }
    }
}

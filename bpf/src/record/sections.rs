//! The parts of an exec record's tail: paths, which the kernel sends last component first, and arguments.
//!
//! Both are views of the record's bytes. Text that is not UTF-8 is given with U+FFFD in the place of what is wrong, since
//! rules compare Unicode text.

/// A path as the kernel's walk found it: the last component first, each followed by a NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReversedPath<'r> {
    components: &'r [u8],
    complete: bool,
}

impl<'r> ReversedPath<'r> {
    /// The path in a section; `complete` when the walk arrived at the root.
    pub fn new(components: &'r [u8], complete: bool) -> Self {
        ReversedPath { components, complete }
    }

    /// The bytes of the section.
    pub fn as_bytes(&self) -> &'r [u8] {
        self.components
    }

    /// Whether the walk arrived at the root. When not, the path's beginning is missing and it is written without a
    /// leading slash.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Appends the path in its usual order, such as `/usr/bin/env`; the root is `/`, a path with nothing known is empty.
    pub fn write_to(&self, out: &mut String) {
        let components = self.components.strip_suffix(b"\0").unwrap_or(self.components);
        if components.is_empty() {
            if self.complete {
                out.push('/');
            }
            return;
        }
        for (index, component) in components.rsplit(|&byte| byte == 0).enumerate() {
            if index > 0 || self.complete {
                out.push('/');
            }
            push_lossy(out, component);
        }
    }
}

/// The arguments of a process, as it got them: each followed by a NUL, the last perhaps cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arguments<'r> {
    area: &'r [u8],
}

impl<'r> Arguments<'r> {
    /// The arguments in an area of memory, or of `/proc/PID/cmdline`.
    pub fn new(area: &'r [u8]) -> Self {
        Arguments { area }
    }

    /// The bytes of the area.
    pub fn as_bytes(&self) -> &'r [u8] {
        self.area
    }

    /// The arguments in order; empty ones count.
    pub fn iter(&self) -> impl Iterator<Item = &'r [u8]> + use<'r> {
        let area = self.area.strip_suffix(b"\0").unwrap_or(self.area);
        let none = self.area.is_empty();
        area.split(|&byte| byte == 0).skip(usize::from(none))
    }
}

/// Appends bytes as text; what is not UTF-8 becomes U+FFFD.
pub fn push_lossy(out: &mut String, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(section: &[u8], complete: bool) -> String {
        let mut out = String::new();
        ReversedPath::new(section, complete).write_to(&mut out);
        out
    }

    #[test]
    fn paths_are_turned_round() {
        assert_eq!(path(b"env\0bin\0usr\0", true), "/usr/bin/env");
        assert_eq!(path(b"memfd:x\0", true), "/memfd:x");
        assert_eq!(path(b"", true), "/");
    }

    #[test]
    fn a_cut_path_has_no_leading_slash() {
        assert_eq!(path(b"env\0bin\0", false), "bin/env");
        assert_eq!(path(b"", false), "");
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        assert_eq!(path(b"a\xffb\0d\xc3\xa9\0", true), "/d\u{e9}/a\u{fffd}b");
    }

    #[test]
    fn empty_arguments_count() {
        let split = |area: &'static [u8]| Arguments::new(area).iter().collect::<Vec<_>>();
        assert_eq!(split(b"").len(), 0);
        assert_eq!(split(b"\0"), [b"".as_slice()]);
        assert_eq!(split(b"a\0\0b\0"), [b"a".as_slice(), b"", b"b"]);
        assert_eq!(split(b"a\0cut"), [b"a".as_slice(), b"cut"]);
    }
}

//! The fields of events about files.

use kestrel_bpf::record::{File, FileName, Kind};
use kestrel_ir::event::{Event, FieldNumber};

use super::images::{push_display, push_some};
use super::{Translator, names};

impl Translator {
    /// Fills what is known of the file.
    pub(super) fn fill_file(&mut self, kind: Kind, file: &File<'_>) {
        let (event, fields, text) = (&mut self.event, &self.fields.file, &mut self.text);
        text.clear();
        file.name.write_to(text);
        let path = Path::of(text);
        push_some(event, fields.path, text);
        push_some(event, fields.name, path.name);
        push_some(event, fields.extension, path.extension);
        push_some(event, fields.directory, path.directory);
        if let Some((inode, size)) = file.inode {
            push_display(event, text, fields.inode, inode);
            event.push_integer(fields.size, i64::try_from(size).unwrap_or(i64::MAX));
        }
        if let Some(name) = file.file_type.and_then(names::file_type) {
            event.push_text(fields.file_type, name);
        }
        let wants_owner = !matches!(kind, Kind::FileRename | Kind::FileDelete | Kind::FileLink);
        if let Some(permissions) = file.permissions.filter(|_| wants_owner) {
            push_mode(event, text, fields.mode, permissions);
        }
        for (field, id) in [(fields.uid, file.uid), (fields.gid, file.gid)] {
            if let Some(id) = id.filter(|_| wants_owner) {
                push_display(event, text, field, id);
            }
        }
        if let Some(original) = file.original {
            match kind {
                Kind::FileChmod => push_mode(event, text, fields.original_mode, original.mode & 0o7777),
                _ => {
                    push_display(event, text, fields.original_uid, original.uid);
                    push_display(event, text, fields.original_gid, original.gid);
                }
            }
        }
        if let Some(flags) = file.flags.filter(|_| kind == Kind::FileOpen) {
            names::open_flags(flags).for_each(|flag| event.push_text(fields.open_flags, flag));
        }
        if let Some(other) = file.other {
            self.fill_other(kind, file, other);
        }
    }

    fn fill_other(&mut self, kind: Kind, file: &File<'_>, other: FileName<'_>) {
        let (event, fields, text) = (&mut self.event, &self.fields.file, &mut self.text);
        let symbolic = file.file_type == Some(names::SYMBOLIC_LINK);
        text.clear();
        match kind {
            // What a symbolic link says is told as it stands there.
            Kind::FileLink if symbolic => kestrel_bpf::record::push_lossy(text, other.name),
            _ => other.write_to(text),
        }
        if kind == Kind::FileLink {
            return push_some(event, fields.target_path, text);
        }
        let path = Path::of(text);
        push_some(event, fields.original_path, text);
        push_some(event, fields.original_name, path.name);
        push_some(event, fields.original_extension, path.extension);
    }
}

fn push_mode(event: &mut Event, text: &mut String, field: FieldNumber, permissions: u32) {
    push_display(event, text, field, format_args!("{permissions:04o}"));
}

/// The parts of a path.
struct Path<'p> {
    directory: &'p str,
    name: &'p str,
    extension: &'p str,
}

impl<'p> Path<'p> {
    /// An extension is what follows the last dot, if something stands before that dot: `.profile` has none.
    fn of(path: &'p str) -> Self {
        let (directory, name) = match path.rsplit_once('/') {
            Some(("", name)) => ("/", name),
            Some(parts) => parts,
            None => ("", path),
        };
        let extension = match name.rsplit_once('.') {
            Some((before, extension)) if !before.is_empty() => extension,
            _ => "",
        };
        Path { directory, name, extension }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_directory_a_name_and_perhaps_an_extension() {
        for (path, parts) in [
            ("/etc/cron.d/job.sh", ("/etc/cron.d", "job.sh", "sh")),
            ("/x", ("/", "x", "")),
            ("/home/a/.profile", ("/home/a", ".profile", "")),
            ("/a/b.tar.gz", ("/a", "b.tar.gz", "gz")),
            ("/a/b.", ("/a", "b.", "")),
            ("cut/off.py", ("cut", "off.py", "py")),
            ("/", ("/", "", "")),
        ] {
            let Path { directory, name, extension } = Path::of(path);
            assert_eq!((directory, name, extension), parts, "{path}");
        }
    }
}

//! What processes do to files, compared with what was done and with what the file system says.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::*;

/// A folder of its own for one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kestrel-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("temporary folder");
        Folder(path.canonicalize().expect("it is there"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody can be told; what stays is a small folder of temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("tests use UTF-8")
}

impl Watch {
    /// This process's event with that action about that file.
    fn file(&mut self, action: &str, path: &Path) -> Event {
        let path = text(path).to_owned();
        let event = self.wait_until(action, |watch, event| watch.text(event, "file.path") == [path.as_str()]);
        assert_eq!(self.text(&event, "event.category"), ["file"]);
        let exe = std::env::current_exe().expect("own path");
        assert_eq!(self.text(&event, "process.executable"), [text(&exe)], "who acted");
        assert!(!self.text(&event, "process.parent.executable").is_empty(), "and from whom it descends");
        event
    }

    /// Everything that the file system says of a file.
    fn assert_is(&self, event: &Event, path: &Path) {
        let is = fs::symlink_metadata(path).expect("the file is there");
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        assert_eq!(self.text(event, "file.name"), [name]);
        assert_eq!(self.text(event, "file.directory"), [text(path.parent().expect("a folder"))]);
        let extension: Vec<&str> = path.extension().and_then(|extension| extension.to_str()).into_iter().collect();
        assert_eq!(self.text(event, "file.extension"), extension);
        assert_eq!(self.text(event, "file.inode"), [is.ino().to_string()]);
        assert_eq!(self.text(event, "file.type"), [if is.is_dir() { "dir" } else { "file" }]);
        assert_eq!(self.text(event, "file.mode"), [format!("{:04o}", is.mode() & 0o7777)]);
        assert_eq!(self.text(event, "file.uid"), [is.uid().to_string()]);
        assert_eq!(self.text(event, "file.gid"), [is.gid().to_string()]);
        assert!(!event.flags.contains(EventFlags::UNREADABLE) && !event.flags.contains(EventFlags::TRUNCATED));
    }

    fn count(&self, action: &str, path: &Path) -> usize {
        let is = |event: &&Event| {
            self.text(event, "event.action") == [action] && self.text(event, "file.path") == [text(path)]
        };
        self.events.iter().filter(is).count()
    }
}

#[test]
fn a_created_file_is_told_once_and_an_opened_one_is_not_created() {
    let Some(mut watch) = Watch::of(&[Kind::FileCreate, Kind::FileOpen]) else { return };
    let folder = Folder::new("create");
    let path = folder.path("a file é.sh");
    let mode = 0o640;
    drop(fs::OpenOptions::new().write(true).create(true).mode(mode).open(&path).expect("own folder"));
    drop(fs::OpenOptions::new().append(true).create(true).open(&path).expect("own file"));
    drop(fs::File::open(&path).expect("own file"));
    let created = &watch.file("creation", &path);
    assert_eq!(watch.text(created, "event.type"), ["creation"]);
    watch.assert_is(created, &path);
    assert_eq!(watch.number(created, "file.size"), Some(0));
    let is_read = |watch: &Watch, event: &Event| {
        watch.text(event, "file.path") == [text(&path)]
            && watch.text(event, "file.Ext.open.flags").contains(&"O_RDONLY")
    };
    let read = &watch.wait_until("open", is_read);
    watch.assert_is(read, &path);
    assert_eq!(watch.text(read, "event.type"), ["access"]);
    assert_eq!(watch.text(read, "file.Ext.open.flags"), ["O_RDONLY", "O_CLOEXEC"]);
    assert_eq!((watch.count("creation", &path), watch.count("open", &path)), (1, 3));
    let first = watch
        .events
        .iter()
        .find(|event| watch.text(event, "event.action") == ["open"] && watch.text(event, "file.path") == [text(&path)]);
    let flags = first.map(|event| watch.text(event, "file.Ext.open.flags"));
    assert_eq!(flags.unwrap_or_default(), ["O_WRONLY", "O_CREAT", "O_CLOEXEC"]);
}

#[test]
fn folders_and_pipes_are_created_too() {
    let Some(mut watch) = Watch::of(&[Kind::FileCreate]) else { return };
    let folder = Folder::new("mkdir");
    let (made, pipe) = (folder.path("made"), folder.path("pipe"));
    fs::create_dir(folder.path("made/")).expect("own folder");
    let there = rustix::fs::open(&folder.0, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("own folder");
    rustix::fs::mkdirat(&there, "made/below/..//inner", Mode::RWXU).expect_err("`below` is not there");
    rustix::fs::mkdirat(&there, "./made//inner", Mode::RWXU).expect("own folder");
    rustix::fs::mknodat(&there, "pipe", rustix::fs::FileType::Fifo, Mode::RWXU, 0).expect("own folder");
    for (path, file_type) in [(&made, "dir"), (&folder.path("made/inner"), "dir"), (&pipe, "pipe")] {
        let event = &watch.file("creation", path);
        assert_eq!(watch.text(event, "file.type"), [file_type]);
        assert_eq!(watch.text(event, "file.name"), [path.file_name().and_then(|name| name.to_str()).expect("a name")]);
    }
}

#[test]
fn a_file_is_modified_once_each_time_it_is_open() {
    let Some(mut watch) = Watch::of(&[Kind::FileModify]) else { return };
    let folder = Folder::new("modify");
    let (written, emptied, named) = (folder.path("written.txt"), folder.path("emptied"), folder.path("named"));
    fs::write(&named, "12345678").expect("own folder");
    for _ in 0..2 {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(&written).expect("own folder");
        for _ in 0..5 {
            file.write_all(b"line\n").expect("own file");
        }
    }
    fs::write(&emptied, "something").expect("own folder");
    drop(fs::File::create(&emptied).expect("own file"));
    let path = std::ffi::CString::new(text(&named)).expect("no NUL");
    super::call::call(super::call::TRUNCATE, [path.as_ptr() as usize, 3, 0, 0, 0, 0]).expect("own file");

    // The last act is the last event.
    let is_last = |watch: &Watch, event: &Event| {
        watch.text(event, "file.path") == [text(&named)] && watch.text(event, "file.inode").is_empty()
    };
    let truncated = &watch.wait_until("modification", is_last);
    assert_eq!(watch.text(truncated, "file.type"), ["file"]);
    let event = &watch.file("modification", &written);
    assert_eq!(watch.text(event, "event.type"), ["change"]);
    watch.assert_is(event, &written);
    assert_eq!(watch.number(event, "file.size"), Some(5), "at the first write");
    assert_eq!(watch.count("modification", &written), 2, "opened twice");
    assert_eq!(watch.count("modification", &emptied), 2, "written, then emptied by opening it");
    assert_eq!(watch.count("modification", &named), 2, "written, then cut by its name");
}

#[test]
fn a_rename_tells_both_names_whatever_they_count_from() {
    let Some(mut watch) = Watch::of(&[Kind::FileRename]) else { return };
    let folder = Folder::new("rename");
    let (old, new, last) = (folder.path("old.tmp"), folder.path("new.conf"), folder.path("last"));
    fs::write(&old, "x").expect("own folder");
    fs::rename(&old, &new).expect("own file");
    let there = rustix::fs::open(&folder.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("own folder");
    fs::rename(&new, folder.path("nowhere/x")).expect_err("`nowhere` is not there");
    rustix::fs::renameat(&there, "./new.conf", &there, "last").expect("own file");
    let event = &watch.file("rename", &new);
    assert_eq!(watch.text(event, "event.type"), ["change"]);
    assert_eq!(watch.text(event, "file.name"), ["new.conf"]);
    assert_eq!(watch.text(event, "file.extension"), ["conf"]);
    assert_eq!(watch.text(event, "file.directory"), [text(&folder.0)]);
    assert_eq!(watch.text(event, "file.Ext.original.path"), [text(&old)]);
    assert_eq!(watch.text(event, "file.Ext.original.name"), ["old.tmp"]);
    assert_eq!(watch.text(event, "file.Ext.original.extension"), ["tmp"]);
    let event = &watch.file("rename", &last);
    assert_eq!(watch.text(event, "file.Ext.original.path"), [text(&new)]);
    assert!(watch.text(event, "file.extension").is_empty());
    assert_eq!(watch.count("rename", &folder.path("nowhere/x")), 0, "what failed is no event");
}

#[test]
fn a_deleted_name_is_told() {
    let Some(mut watch) = Watch::of(&[Kind::FileDelete]) else { return };
    let folder = Folder::new("delete");
    let (file, inner) = (folder.path("file.log"), folder.path("inner"));
    fs::write(&file, "x").expect("own folder");
    fs::create_dir(&inner).expect("own folder");
    fs::remove_file(folder.path("no such file")).expect_err("it is not there");
    fs::remove_file(&file).expect("own file");
    fs::remove_dir(&inner).expect("own folder");
    let event = &watch.file("deletion", &file);
    assert_eq!(watch.text(event, "event.type"), ["deletion"]);
    assert_eq!(watch.text(event, "file.name"), ["file.log"]);
    assert_eq!(watch.text(event, "file.extension"), ["log"]);
    let event = &watch.file("deletion", &inner);
    assert_eq!(watch.text(event, "file.type"), ["dir"]);
    assert_eq!(watch.count("deletion", &folder.path("no such file")), 0);
    // A name that counts from the working directory of another process.
    fs::write(&file, "x").expect("own folder");
    fs::create_dir(&inner).expect("own folder");
    let mut child = Command::new("/bin/rm").arg("../inner/../file.log").current_dir(&inner).spawn().expect("rm starts");
    assert!(child.wait().expect("rm ends").success());
    let event = &watch.wait_for("deletion", child.id());
    assert_eq!(watch.text(event, "file.path"), [text(&file)]);
}

#[test]
fn changed_permissions_and_owners_are_told_with_what_they_were() {
    let Some(mut watch) = Watch::of(&[Kind::FileChmod, Kind::FileChown]) else { return };
    let folder = Folder::new("chmod");
    let (named, open) = (folder.path("named"), folder.path("open"));
    fs::write(&named, "x").expect("own folder");
    fs::set_permissions(&named, fs::Permissions::from_mode(0o4755)).expect("own file");
    std::os::unix::fs::lchown(&named, Some(54_341), None).expect("root may");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&open);
    let file = file.expect("own folder");
    file.set_permissions(fs::Permissions::from_mode(0o1777)).expect("own file");
    std::os::unix::fs::fchown(&file, Some(54_342), Some(54_343)).expect("root may");

    let event = &watch.file("chmod", &named);
    assert_eq!(watch.text(event, "event.type"), ["change"]);
    assert_eq!(watch.text(event, "file.mode"), ["4755"]);
    let event = &watch.file("chown", &named);
    assert_eq!(watch.text(event, "file.uid"), ["54341"]);
    assert!(watch.text(event, "file.gid").is_empty(), "the group stays, and the name does not tell which");

    let event = &watch.file("chmod", &open);
    assert_eq!(watch.text(event, "file.mode"), ["1777"]);
    assert_eq!(watch.text(event, "file.Ext.original.mode"), ["0600"]);
    assert_eq!(watch.text(event, "file.inode"), [file.metadata().expect("own file").ino().to_string()]);
    let event = &watch.file("chown", &open);
    watch.assert_is(event, &open);
    assert_eq!((watch.text(event, "file.uid"), watch.text(event, "file.gid")), (vec!["54342"], vec!["54343"]));
    let (user, group) =
        (fs::metadata(&folder.0).expect("own folder").uid(), fs::metadata(&folder.0).expect("own").gid());
    assert_eq!(watch.text(event, "file.Ext.original.uid"), [user.to_string()]);
    assert_eq!(watch.text(event, "file.Ext.original.gid"), [group.to_string()]);
}

#[test]
fn links_are_told_with_where_they_lead() {
    let Some(mut watch) = Watch::of(&[Kind::FileLink]) else { return };
    let folder = Folder::new("link");
    let (file, hard, soft) = (folder.path("file"), folder.path("hard"), folder.path("soft"));
    fs::write(&file, "x").expect("own folder");
    fs::hard_link(&file, &hard).expect("own file");
    std::os::unix::fs::symlink("../some/where", &soft).expect("own folder");
    let there = rustix::fs::open(&folder.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("own folder");
    rustix::fs::linkat(&there, "hard", &there, "harder", AtFlags::empty()).expect("own file");
    let event = &watch.file("link", &hard);
    assert_eq!(watch.text(event, "event.type"), ["creation"]);
    assert_eq!(watch.text(event, "file.target_path"), [text(&file)]);
    let event = &watch.file("link", &soft);
    assert_eq!(watch.text(event, "file.target_path"), ["../some/where"], "as it stands in the link");
    assert_eq!(watch.text(event, "file.type"), ["symlink"]);
    let event = &watch.file("link", &folder.path("harder"));
    assert_eq!(watch.text(event, "file.target_path"), [text(&hard)]);
}

#[test]
fn a_long_path_is_whole_up_to_its_limit_and_flagged_beyond() {
    let Some(mut watch) = Watch::of(&[Kind::FileCreate]) else { return };
    let folder = Folder::new("long");
    let name = "n".repeat(200);
    let mut there = rustix::fs::open(&folder.0, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("own folder");
    let mut path = folder.0.clone();
    let mut made = Vec::new();
    // 25 folders of 201 bytes are more than the 4,096 that a section holds.
    for _ in 0..25 {
        rustix::fs::mkdirat(&there, name.as_str(), Mode::RWXU).expect("own folder");
        there = rustix::fs::openat(&there, name.as_str(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("own");
        path.push(&name);
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        drop(rustix::fs::openat(&there, "file.end", flags, Mode::RWXU).expect("own folder"));
        made.push(path.join("file.end"));
    }
    for path in made.iter().filter(|path| path.as_os_str().len() < 3_800) {
        watch.file("creation", path);
    }
    let is_cut = |watch: &Watch, event: &Event| {
        event.flags.contains(EventFlags::TRUNCATED) && watch.text(event, "file.name") == ["file.end"]
    };
    let cut = &watch.wait_until("creation", is_cut);
    let seen = watch.text(cut, "file.path").first().copied().unwrap_or_default().to_owned();
    assert!(seen.len() > 3_500 && !seen.starts_with('/'), "{} bytes: {seen:.80}", seen.len());
    assert!(made.iter().any(|path| text(path).ends_with(&seen)), "its end is right");
}

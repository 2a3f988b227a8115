//! Which container a process runs in, from its cgroup.
//!
//! Goes in: a process and its cgroup's number, both as the kernel's records have them. Comes out: a [`Container`] or
//! none. The cgroup's path comes with the record of an exec. Before the first one it comes from `/proc/PID/cgroup`, and of
//! a process that is gone already, from a walk through the mounted hierarchy. What a container is called and made of comes from its runtime's own files. No runtime is asked
//! over a socket: that could block.
//!
//! On a host with the unified hierarchy alone, the number names the cgroup, and a container is looked up once. Where the
//! older hierarchies are in use too, the number need not say it; then each process is looked up once, and one that is gone
//! by then has the container of its parent.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::proc_files;
use crate::process_table::EntityId;

mod details;
mod path;

use details::Details;
use path::CgroupName;

/// What is remembered at most: cgroups, or processes where cgroups have no numbers.
const REMEMBERED: usize = 8_192;
/// Folders that one walk for a cgroup's number looks at.
const WALK_LIMIT: usize = 16_384;
/// `/proc/PID/cgroup` has a line for each hierarchy, of at most a path.
const CGROUP_FILE_LIMIT: usize = 64 << 10;

/// A container, as far as its cgroup and its runtime's files tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    /// `container.id`, and what else the path says.
    pub(super) name: CgroupName,
    /// What the runtime's files say.
    pub(super) details: Details,
}

/// Finds containers and remembers them; see the head of this file.
pub(super) struct Containers {
    /// `/`, but in tests.
    root: PathBuf,
    /// Where the unified hierarchy is mounted.
    unified: Option<PathBuf>,
    /// Whether it is the only one.
    alone: bool,
    details: bool,
    /// When the hierarchy may be walked again.
    walk_after: Cell<Option<Instant>>,
    by_cgroup: Remembered<u64, Option<Arc<Container>>>,
    by_process: Remembered<EntityId, Option<Arc<Container>>>,
    by_id: Remembered<Box<str>, Arc<Container>>,
}

impl Containers {
    /// `details` says whether the runtimes' files are read.
    pub(super) fn new(root: &Path, details: bool) -> Self {
        let mount = root.join("sys/fs/cgroup");
        // Only the unified hierarchy has that file in its root.
        let is_unified = |mount: &PathBuf| mount.join("cgroup.controllers").exists();
        let alone = is_unified(&mount);
        let unified = [mount.join("unified"), mount].into_iter().find(is_unified);
        Containers {
            root: root.to_owned(),
            walk_after: Cell::new(None),
            unified,
            alone,
            details,
            by_cgroup: Remembered::new(REMEMBERED),
            by_process: Remembered::new(REMEMBERED),
            by_id: Remembered::new(REMEMBERED),
        }
    }

    /// The container of a process. `parent` is whose container it has if nothing else is known.
    pub(super) fn of(&mut self, id: EntityId, cgroup: u64, parent: Option<EntityId>) -> Option<Arc<Container>> {
        // Number 1 is the root of the hierarchy, and stands for none where others are in use.
        if self.unified.is_some() && cgroup > 1 {
            let found = self.of_cgroup(id, cgroup);
            if found.is_some() || self.alone {
                return found;
            }
        }
        if let Some(known) = self.by_process.get(&id) {
            return known.clone();
        }
        let found = match self.own_paths(id) {
            Some(paths) => paths.iter().find_map(|path| path::parse(path)).map(|name| self.describe(name)),
            None => parent.and_then(|parent| self.by_process.get(&parent).cloned().flatten()),
        };
        self.by_process.insert(id, found.clone());
        found
    }

    fn of_cgroup(&mut self, id: EntityId, cgroup: u64) -> Option<Arc<Container>> {
        if let Some(known) = self.by_cgroup.get(&cgroup) {
            return known.clone();
        }
        let found = self.path_of(id, cgroup).and_then(|path| path::parse(&path)).map(|name| self.describe(name));
        self.by_cgroup.insert(cgroup, found.clone());
        found
    }

    /// The kernel told the path of a numbered cgroup, with the first exec in it: it may be gone again by now.
    pub(super) fn learn(&mut self, cgroup: u64, path: &str) {
        if self.by_cgroup.get(&cgroup).is_none_or(Option::is_none) {
            let found = path::parse(path).map(|name| self.describe(name));
            self.by_cgroup.insert(cgroup, found);
        }
    }

    /// The process runs something else: it may have been put into its container since it was looked at. With numbered
    /// cgroups the number tells.
    pub(super) fn forget(&mut self, id: EntityId) {
        self.by_process.remove(&id);
    }

    fn describe(&mut self, name: CgroupName) -> Arc<Container> {
        if let Some(known) = self.by_id.get(&name.id) {
            return Arc::clone(known);
        }
        let details = if self.details { details::read(&self.root, &name) } else { Details::default() };
        let id = name.id.clone();
        let container = Arc::new(Container { name, details });
        self.by_id.insert(id, Arc::clone(&container));
        container
    }

    /// The path of a numbered cgroup.
    fn path_of(&self, id: EntityId, cgroup: u64) -> Option<String> {
        let mount = self.unified.as_deref()?;
        let is = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.ino() == cgroup);
        // The process may have moved on or be gone, and its number be somebody else's: the folder's own number decides.
        let own = self.own_paths(id).and_then(|paths| {
            paths.into_iter().find(|path| !path.contains("/..") && is(&mount.join(path.trim_start_matches('/'))))
        });
        own.or_else(|| self.walk(mount, cgroup))
    }

    /// Looks for the folder with that number, a tenth of the time at most: whoever may make cgroups can make many.
    fn walk(&self, mount: &Path, cgroup: u64) -> Option<String> {
        let begun = Instant::now();
        if self.walk_after.get().is_some_and(|after| begun < after) {
            return None;
        }
        let found = walk(mount, cgroup);
        self.walk_after.set(begun.checked_add(begun.elapsed() * WALK_PERIOD));
        found
    }

    /// The paths that `/proc/PID/cgroup` shows, the unified hierarchy's first; `None` if the process is gone.
    fn own_paths(&self, id: EntityId) -> Option<Vec<String>> {
        let proc = self.root.join("proc");
        let text = proc_files::read_limited(&proc.join(id.pid.to_string()).join("cgroup"), CGROUP_FILE_LIMIT)?;
        // The number may have been given to somebody else before the file was opened.
        if !proc_files::is_alive(&proc, id) {
            return None;
        }
        let text = String::from_utf8_lossy(&text);
        let mut paths: Vec<(bool, String)> = text
            .lines()
            .filter_map(|line| {
                let (hierarchy, rest) = line.split_once(':')?;
                let (_, path) = rest.split_once(':')?;
                Some((hierarchy != "0", path.to_owned()))
            })
            .collect();
        paths.sort_by_key(|(older, _)| *older);
        Some(paths.into_iter().map(|(_, path)| path).collect())
    }
}

/// After a walk there is none for so many times as long as it took.
const WALK_PERIOD: u32 = 10;

/// Looks for the folder with that number below `mount`, nearest first.
fn walk(mount: &Path, cgroup: u64) -> Option<String> {
    let mut folders = VecDeque::from([mount.to_owned()]);
    let mut looked_at = 0;
    while let Some(folder) = folders.pop_front() {
        for entry in std::fs::read_dir(&folder).ok().into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            looked_at += 1;
            if looked_at > WALK_LIMIT {
                return None;
            }
            let path = entry.path();
            // The entry's own number is that of the folder, unless something is mounted on it.
            if std::os::unix::fs::DirEntryExt::ino(&entry) == cgroup {
                let below = path.strip_prefix(mount).ok()?;
                return Some(format!("/{}", below.to_string_lossy()));
            }
            folders.push_back(path);
        }
    }
    None
}

/// A table of limited size that forgets what came first.
pub(super) struct Remembered<K, V> {
    values: HashMap<K, V>,
    order: VecDeque<K>,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V> Remembered<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Remembered { values: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// Adds or renews a value.
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        // Keys that were removed stand in the order until their turn.
        while self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    /// Takes a value out. Its key keeps its place in the order, so that if it comes again it may be forgotten early.
    pub(super) fn remove(&mut self, key: &K) {
        self.values.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }
}

#[cfg(test)]
mod tests;

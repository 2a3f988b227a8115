//! Made-up hosts in a folder, with both kinds of hierarchies.

use super::*;

const ID: &str = "4f9ab7ce02e1cf3d8ec98c0f5e8c6fd0f6a1a2b3c4d5e6f708192a3b4c5d6e7f";

/// A folder that is gone afterwards.
struct Root(PathBuf);

impl Root {
    fn new(name: &str) -> Root {
        let path = std::env::temp_dir().join(format!("kestrel-containers-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder of our own");
        Root(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder of our own");
        std::fs::write(path, text).expect("a file of our own");
    }

    fn process(&self, pid: u32, cgroup: &str) -> EntityId {
        self.write(&format!("proc/{pid}/cgroup"), cgroup);
        self.write(&format!("proc/{pid}/stat"), &format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 50 0 0\n"));
        EntityId::from_start_ticks(pid, 50)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // A folder that stays behind in the temporary folder does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn id_of(container: Option<Arc<Container>>) -> Option<String> {
    container.map(|container| container.name.id.to_string())
}

#[test]
fn a_numbered_cgroup_is_found_with_and_without_its_process() {
    let root = Root::new("unified");
    root.write("sys/fs/cgroup/cgroup.controllers", "");
    root.write(&format!("sys/fs/cgroup/system.slice/docker-{ID}.scope/cgroup.procs"), "");
    root.write("sys/fs/cgroup/user.slice/cgroup.procs", "");
    root.write(
        &format!("var/lib/docker/containers/{ID}/config.v2.json"),
        r#"{"Name":"/web","Config":{"Image":"a:b"}}"#,
    );
    let number = |path: &str| std::fs::metadata(root.0.join(path)).expect("just made").ino();
    let inside = number(&format!("sys/fs/cgroup/system.slice/docker-{ID}.scope"));
    let outside = number("sys/fs/cgroup/user.slice");

    let alive = root.process(7, &format!("0::/system.slice/docker-{ID}.scope\n"));
    let mut containers = Containers::new(&root.0, true);
    let found = containers.of(alive, inside, None).expect("a container");
    assert_eq!((&*found.name.id, found.name.runtime), (ID, Some("docker")));
    assert_eq!((found.details.name.as_deref(), found.details.image.as_deref()), (Some("web"), Some("a")));
    assert_eq!(containers.of(alive, outside, None), None);

    let gone = EntityId::from_start_ticks(8, 1);
    assert_eq!(id_of(Containers::new(&root.0, false).of(gone, inside, None)).as_deref(), Some(ID), "by a walk");
    // What the number's new holder is in says nothing about the number's old one.
    let moved = root.process(9, "0::/user.slice\n");
    assert_eq!(id_of(Containers::new(&root.0, false).of(moved, inside, None)).as_deref(), Some(ID));
}

#[test]
fn older_hierarchies_are_looked_up_by_process_and_inherited() {
    let root = Root::new("older");
    let text = format!("5:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/\n");
    let parent = root.process(7, &text);
    let mut containers = Containers::new(&root.0, false);
    assert_eq!(id_of(containers.of(parent, 1, None)).as_deref(), Some(ID));
    let child = EntityId::from_start_ticks(8, 60);
    assert_eq!(id_of(containers.of(child, 1, Some(parent))).as_deref(), Some(ID), "gone, so as its parent");
    let other = EntityId::from_start_ticks(7, 51);
    assert_eq!(containers.of(other, 1, None), None, "another process had that number");

    let mover = root.process(20, "0::/\n");
    assert_eq!(containers.of(mover, 1, None), None);
    root.process(20, &text);
    containers.forget(mover);
    assert_eq!(id_of(containers.of(mover, 1, None)).as_deref(), Some(ID), "after exec it is looked at again");
}

#[test]
fn what_is_remembered_is_limited() {
    let mut table = Remembered::new(3);
    for key in 0..100 {
        table.insert(key, key);
        table.remove(&(key / 2));
        table.insert(key / 2, 0);
    }
    assert!(table.len() <= 3);
    assert!(table.order.len() <= 3);
}

#[test]
fn beside_older_hierarchies_the_number_is_asked_first() {
    let root = Root::new("both");
    root.write("sys/fs/cgroup/unified/cgroup.controllers", "");
    root.write(&format!("sys/fs/cgroup/unified/docker/{ID}/cgroup.procs"), "");
    root.write("sys/fs/cgroup/unified/plain/cgroup.procs", "");
    let number = |path: &str| std::fs::metadata(root.0.join(path)).expect("just made").ino();
    let mut containers = Containers::new(&root.0, false);
    let gone = EntityId::from_start_ticks(8, 1);
    let inside = number(&format!("sys/fs/cgroup/unified/docker/{ID}"));
    assert_eq!(id_of(containers.of(gone, inside, None)).as_deref(), Some(ID));
    let older = root.process(9, &format!("5:memory:/docker/{ID}\n0::/plain\n"));
    let found = containers.of(older, number("sys/fs/cgroup/unified/plain"), None);
    assert_eq!(id_of(found).as_deref(), Some(ID), "only the older ones know");
}

#[test]
fn what_the_kernel_told_is_known_when_all_else_is_gone() {
    let root = Root::new("told");
    root.write("sys/fs/cgroup/cgroup.controllers", "");
    let mut containers = Containers::new(&root.0, false);
    let gone = EntityId::from_start_ticks(8, 1);
    assert_eq!(containers.of(gone, 77, None), None, "before its first exec");
    containers.learn(77, &format!("/docker/{ID}"));
    assert_eq!(id_of(containers.of(gone, 77, None)).as_deref(), Some(ID));
    containers.learn(77, "/system.slice");
    assert_eq!(id_of(containers.of(gone, 77, None)).as_deref(), Some(ID), "a number is used once");
}

//! Reads a cgroup's path: which runtime made it, for which container, in which pod.
//!
//! Runtimes name cgroups by convention. The two drivers of each give `/docker/ID` and `/system.slice/docker-ID.scope`,
//! and Kubernetes puts either below folders that name the pod. The innermost name that is a container's counts: a
//! container may run containers. What looks like none is none; helpers of a runtime (`conmon`, `lxc.monitor`) run outside.

/// Longer paths are nobody's.
const PATH_LIMIT: usize = 4_096;
/// The longest name that is taken for an LXC or nspawn container's; both allow 64.
const NAME_LIMIT: usize = 64;

/// What a path says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::live) struct CgroupName {
    /// The container's identifier: 64 hexadecimal digits, or its name where the runtime has no numbers.
    pub(in crate::live) id: Box<str>,
    /// The runtime, where the path names it.
    pub(in crate::live) runtime: Option<&'static str>,
    /// The Kubernetes pod, in the form that Kubernetes prints.
    pub(in crate::live) pod: Option<Box<str>>,
}

/// What stands before an identifier in the names that systemd scopes have, and what it tells.
const PREFIXES: [(&str, &str); 9] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
    ("podman-", "podman"),
    ("garden-", "garden"),
];

/// Folders that hold identifiers alone, and what they tell.
const FOLDERS: [(&str, &str); 7] = [
    ("docker", "docker"),
    ("moby", "docker"),
    ("ecs", "docker"),
    ("k8s.io", "containerd"),
    ("default", "containerd"),
    ("libpod_parent", "podman"),
    ("garden", "garden"),
];

/// The container that a path belongs to, if it is one's.
pub(super) fn parse(path: &str) -> Option<CgroupName> {
    if path.len() > PATH_LIMIT {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (at, (id, runtime)) = (0..parts.len()).rev().find_map(|at| Some((at, container(&parts, at)?)))?;
    let outer = parts.get(..=at).unwrap_or_default();
    Some(CgroupName { id: id.into(), runtime, pod: outer.iter().rev().find_map(|part| pod(part)) })
}

/// The identifier and the runtime that the part of that index names.
fn container<'p>(parts: &[&'p str], at: usize) -> Option<(&'p str, Option<&'static str>)> {
    let part = *parts.get(at)?;
    let folder = at.checked_sub(1).and_then(|before| parts.get(before)).copied().unwrap_or_default();
    // `slice:prefix:identifier` is what systemd's form looks like where runc was told to use plain folders.
    if let Some((rest, id)) = part.rsplit_once(':') {
        let prefix = rest.rsplit_once(':').map_or(rest, |(_, prefix)| prefix);
        let runtime = PREFIXES.iter().find(|(known, _)| known.strip_suffix('-') == Some(prefix));
        return is_long_id(id).then_some((id, runtime.map(|(_, runtime)| *runtime)));
    }
    let name = part.strip_suffix(".scope").unwrap_or(part);
    if is_long_id(name) {
        let known = |&&(known, _): &&(&str, &str)| known == folder;
        let above = parts.iter().take(at).any(|part| *part == "ecs");
        let runtime = FOLDERS.iter().find(known).map(|(_, runtime)| *runtime);
        return Some((name, runtime.or(above.then_some("docker"))));
    }
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = name.strip_prefix(prefix)
            && is_long_id(id)
        {
            return Some((id, Some(runtime)));
        }
    }
    if is_fargate_id(part) && parts.iter().take(at).any(|part| *part == "ecs") {
        return Some((part, Some("containerd")));
    }
    let named = |id: &'p str, runtime| is_name(id).then_some((id, Some(runtime)));
    if let Some(id) = part.strip_prefix("lxc.payload.") {
        return named(id, "lxc");
    }
    if matches!(folder, "lxc" | "lxc.payload") {
        return named(part, "lxc");
    }
    if let Some(id) = part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")) {
        return named(id, "systemd-nspawn");
    }
    if folder == "garden" && is_uuid(part) {
        return Some((part, Some("garden")));
    }
    None
}

/// The pod that a part of a path names: `podUID`, `kubepods-burstable-podUID.slice` with `_` for `-`, or that before a colon.
fn pod(part: &str) -> Option<Box<str>> {
    let part = part.split(':').next().unwrap_or(part);
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match name.strip_prefix("pod") {
        Some(uid) => uid,
        None => name.rsplit_once("-pod")?.1,
    };
    let uid = uid.replace('_', "-");
    // A pod that the node itself was told to run has a digest in place of a UUID.
    (is_uuid(&uid) || uid.len() == 32 && is_hexadecimal(&uid)).then(|| uid.into_boxed_str())
}

fn is_long_id(text: &str) -> bool {
    text.len() == 64 && is_hexadecimal(text)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

/// `TASK-NUMBER`, as AWS Fargate names containers.
fn is_fargate_id(text: &str) -> bool {
    let parts = text.split_once('-');
    parts.is_some_and(|(task, number)| {
        task.len() == 32
            && is_hexadecimal(task)
            && (1..=20).contains(&number.len())
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_name(text: &str) -> bool {
    (1..=NAME_LIMIT).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f9ab7ce02e1cf3d8ec98c0f5e8c6fd0f6a1a2b3c4d5e6f708192a3b4c5d6e7f";
    const POD: &str = "12c0ffee-1234-4abc-9def-0123456789ab";

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, Option<&str>, Option<&str>)>) {
        let path = path.replace("ID", ID).replace("POD", POD).replace("P_D", &POD.replace('-', "_"));
        let expected = expected.map(|(id, runtime, pod)| {
            (id.replace("ID", ID), runtime.map(str::to_owned), pod.map(|pod| pod.replace("POD", POD)))
        });
        let found = parse(&path);
        let found =
            found.map(|name| (name.id.into_string(), name.runtime.map(str::to_owned), name.pod.map(String::from)));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn both_drivers_of_every_runtime_are_known() {
        for (path, runtime) in [
            ("/docker/ID", Some("docker")),
            ("/system.slice/docker-ID.scope", Some("docker")),
            ("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-ID.scope", Some("docker")),
            ("/docker/ID/init.scope", Some("docker")),
            ("/ecs/task-name/ID", Some("docker")),
            ("/machine.slice/libpod-ID.scope", Some("podman")),
            ("/machine.slice/libpod-ID.scope/container", Some("podman")),
            ("/libpod_parent/libpod-ID", Some("podman")),
            ("/system.slice/cri-containerd-ID.scope", Some("containerd")),
            ("/default/ID", Some("containerd")),
            ("/system.slice/nerdctl-ID.scope", Some("containerd")),
            ("/system.slice/crio-ID.scope", Some("cri-o")),
            ("/some/where/ID", None),
        ] {
            check(path, Some(("ID", runtime, None)));
        }
    }

    #[test]
    fn pods_are_found_in_every_form() {
        for (path, runtime) in [
            ("/kubepods/besteffort/podPOD/ID", None),
            ("/kubepods/podPOD/crio-ID", Some("cri-o")),
            (
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podP_D.slice/cri-containerd-ID.scope",
                Some("containerd"),
            ),
            ("/kubepods.slice/kubepods-podP_D.slice/docker-ID.scope", Some("docker")),
            (
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-podP_D.slice/crio-ID.scope/container",
                Some("cri-o"),
            ),
            ("/system.slice/containerd.service/kubepods-burstable-podP_D.slice:cri-containerd:ID", Some("containerd")),
        ] {
            check(path, Some(("ID", runtime, Some("POD"))));
        }
        let digest = "0123456789abcdef0123456789abcdef";
        check(&format!("/kubepods/burstable/pod{digest}/ID"), Some(("ID", None, Some(digest))));
    }

    #[test]
    fn runtimes_that_use_names_are_known() {
        check("/lxc.payload.web-1/init.scope", Some(("web-1", Some("lxc"), None)));
        check("/lxc/web-1", Some(("web-1", Some("lxc"), None)));
        check("/machine.slice/systemd-nspawn@box.service/payload", Some(("box", Some("systemd-nspawn"), None)));
        check("/garden/POD", Some((POD, Some("garden"), None)));
        let fargate = "0123456789abcdef0123456789abcdef-1234567890";
        check(&format!("/ecs/task/{fargate}"), Some((fargate, Some("containerd"), None)));
    }

    #[test]
    fn the_innermost_container_counts() {
        let inner = ID.replace('4', "5");
        check(&format!("/docker/ID/kubepods/podPOD/{inner}"), Some((&inner, None, Some("POD"))));
    }

    #[test]
    fn what_is_no_container_is_none() {
        for path in [
            "",
            "/",
            "/user.slice/user-0.slice/session-1.scope",
            "/system.slice/ssh.service",
            "/machine.slice/libpod-conmon-ID.scope",
            "/system.slice/crio-conmon-ID.scope",
            "/lxc.monitor.web-1",
            "/docker/ID0",
            "/docker/0123",
            "/kubepods/besteffort/podPOD",
            "/kubepods.slice/kubepods-podP_D.slice",
            "/lxc/",
            "/lxc.payload.",
            "/system.slice/docker-ID.service",
            "::::",
            "/a:b:c",
        ] {
            check(path, None);
        }
        check(&format!("{}/docker/ID", "/x".repeat(4096)), None);
    }
}

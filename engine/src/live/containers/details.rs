//! What a runtime's own files say about a container: its name, its image, its pod, whether it is privileged.
//!
//! Goes in: the container's identifier, which is checked to be one before it becomes part of a path. Comes out: what could
//! be read; all of it may be missing. The files are those that Docker keeps for itself, and the `config.json` of the OCI
//! runtime specification that every other runtime leaves beside a running container, with the annotations of containerd,
//! nerdctl, CRI-O and podman.

use std::path::Path;

use serde_json::Value as Json;

use super::path::CgroupName;
use crate::live::proc_files;

/// A file beyond this size is not read.
const FILE_LIMIT: usize = 4 << 20;

/// See the head of this file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::live) struct Details {
    /// `container.name`.
    pub(in crate::live) name: Option<Box<str>>,
    /// `container.image.name`, without tag.
    pub(in crate::live) image: Option<Box<str>>,
    /// `container.image.tag`.
    pub(in crate::live) tag: Option<Box<str>>,
    /// `container.security_context.privileged`.
    pub(in crate::live) privileged: Option<bool>,
    /// `orchestrator.resource.name`: the pod's name.
    pub(in crate::live) pod_name: Option<Box<str>>,
    /// `orchestrator.namespace`.
    pub(in crate::live) namespace: Option<Box<str>>,
}

/// Where `config.json` lies: a folder, the identifier, and what stands behind it.
const OCI_FOLDERS: [(&str, &str); 8] = [
    ("run/containerd/io.containerd.runtime.v2.task/k8s.io", ""),
    ("run/containerd/io.containerd.runtime.v2.task/moby", ""),
    ("run/containerd/io.containerd.runtime.v2.task/default", ""),
    ("run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io", ""),
    ("run/containers/storage/overlay-containers", "userdata"),
    ("var/lib/containers/storage/overlay-containers", "userdata"),
    ("run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby", ""),
    ("run/runc", ""),
];

/// Reads what there is below `root`.
pub(super) fn read(root: &Path, name: &CgroupName) -> Details {
    let id: &str = &name.id;
    // The parser gives nothing else; what becomes part of a path is looked at where that happens.
    if id.is_empty() || id.contains('/') || id.starts_with('.') {
        return Details::default();
    }
    let docker = root.join("var/lib/docker/containers").join(id);
    let mut details = json(&docker.join("config.v2.json")).map(|config| of_docker(&config)).unwrap_or_default();
    if let Some(host) = json(&docker.join("hostconfig.json")) {
        details.privileged = host.get("Privileged").and_then(Json::as_bool);
    }
    if details != Details::default() {
        return details;
    }
    let places = OCI_FOLDERS.iter().map(|(folder, behind)| root.join(folder).join(id).join(behind).join("config.json"));
    places.into_iter().find_map(|place| json(&place)).map(|config| of_oci(&config)).unwrap_or_default()
}

fn json(file: &Path) -> Option<Json> {
    let bytes = proc_files::read_limited(file, FILE_LIMIT + 1)?;
    (bytes.len() <= FILE_LIMIT).then_some(())?;
    serde_json::from_slice(&bytes).ok()
}

fn of_docker(config: &Json) -> Details {
    let text = |pointer: &str| config.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty());
    let label = |name: &str| {
        let labels = config.pointer("/Config/Labels")?;
        labels.get(name).and_then(Json::as_str).filter(|text| !text.is_empty())
    };
    let mut details = Details {
        name: text("/Name").map(|name| name.trim_start_matches('/').into()),
        pod_name: label("io.kubernetes.pod.name").map(Box::from),
        namespace: label("io.kubernetes.pod.namespace").map(Box::from),
        ..Details::default()
    };
    (details.image, details.tag) = image(text("/Config/Image"));
    details
}

fn of_oci(config: &Json) -> Details {
    let annotation = |names: &[&str]| {
        let annotations = config.get("annotations")?;
        names.iter().find_map(|name| annotations.get(*name)?.as_str().filter(|text| !text.is_empty()))
    };
    let mut details = Details {
        name: annotation(&[
            "io.kubernetes.cri.container-name",
            "io.kubernetes.container.name",
            "nerdctl/name",
            "io.container.manager.name",
        ])
        .map(Box::from),
        pod_name: annotation(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]).map(Box::from),
        namespace: annotation(&["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"]).map(Box::from),
        privileged: privileged(config),
        ..Details::default()
    };
    let named =
        ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName", "nerdctl/image", "io.podman.image.name"];
    (details.image, details.tag) = image(annotation(&named));
    details
}

/// The specification has no such word. What every runtime does for it: all capabilities, and no path of `/proc` hidden.
fn privileged(config: &Json) -> Option<bool> {
    let bounding = config.pointer("/process/capabilities/bounding")?.as_array()?;
    let has = |name: &str| bounding.iter().any(|capability| capability.as_str() == Some(name));
    let masked = config.pointer("/linux/maskedPaths").and_then(Json::as_array).is_some_and(|paths| !paths.is_empty());
    Some(!masked && has("CAP_SYS_ADMIN") && has("CAP_SYS_MODULE") && has("CAP_SYS_RAWIO"))
}

/// `registry:5000/name:tag@sha256:…` without digest, cut at the tag.
fn image(reference: Option<&str>) -> (Option<Box<str>>, Option<Box<str>>) {
    let Some(reference) = reference else { return (None, None) };
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') && !tag.is_empty() => (Some(name.into()), Some(tag.into())),
        _ => (Some(name.into()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_cut_at_its_tag() {
        for (reference, name, tag) in [
            ("nginx", "nginx", None),
            ("nginx:1.27", "nginx", Some("1.27")),
            ("registry:5000/team/app", "registry:5000/team/app", None),
            ("registry:5000/team/app:v2@sha256:00", "registry:5000/team/app", Some("v2")),
        ] {
            assert_eq!(image(Some(reference)), (Some(name.into()), tag.map(Box::from)), "{reference}");
        }
    }

    #[test]
    fn docker_and_oci_files_are_read() {
        let docker = serde_json::json!({ "Name": "/web", "Config": { "Image": "nginx:1", "Labels": {} } });
        let details = of_docker(&docker);
        assert_eq!((details.name.as_deref(), details.image.as_deref()), (Some("web"), Some("nginx")));
        let oci = serde_json::json!({
            "process": { "capabilities": { "bounding": ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_RAWIO"] } },
            "linux": { "maskedPaths": null },
            "annotations": {
                "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": "team/app:2",
                "io.kubernetes.cri.sandbox-name": "app-7f", "io.kubernetes.cri.sandbox-namespace": "prod",
            },
        });
        let details = of_oci(&oci);
        assert_eq!((details.name.as_deref(), details.pod_name.as_deref()), (Some("app"), Some("app-7f")));
        assert_eq!((details.tag.as_deref(), details.namespace.as_deref()), (Some("2"), Some("prod")));
        assert_eq!(details.privileged, Some(true));
        let masked = serde_json::json!({
            "process": { "capabilities": { "bounding": ["CAP_SYS_ADMIN"] } }, "linux": { "maskedPaths": ["/proc/kcore"] },
        });
        assert_eq!(of_oci(&masked).privileged, Some(false));
        assert_eq!(of_oci(&Json::Null), Details::default());
    }
}

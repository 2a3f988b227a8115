//! Who this host is: the constant fields of every event.

use std::path::Path;

use crate::process_table::BootTag;

/// The host's names.
pub(super) struct Host {
    /// `host.id`: the machine id, or one derived from the boot where there is none.
    pub(super) id: String,
    /// `host.name` and `host.hostname`.
    pub(super) name: String,
    /// Part of every entity id.
    pub(super) boot: BootTag,
}

impl Host {
    pub(super) fn read() -> Self {
        let read = |path: &str| {
            std::fs::read_to_string(Path::new(path)).map(|text| text.trim().to_owned()).unwrap_or_default()
        };
        let boot_id = read("/proc/sys/kernel/random/boot_id");
        let machine_id = read("/etc/machine-id");
        let id = if machine_id.is_empty() { boot_id.clone() } else { machine_id };
        Host { id, name: read("/proc/sys/kernel/hostname"), boot: BootTag::new(&boot_id) }
    }
}

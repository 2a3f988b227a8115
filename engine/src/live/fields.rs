//! The fields of live events, numbered once.
//!
//! Goes in: nothing. Comes out: a [`FieldTable`] and the numbers of its fields under Rust names, so that filling an event
//! looks nothing up. Types come from the built-in schema; a test holds every name to it.

use kestrel_ir::event::{FieldNumber, FieldTable};
use kestrel_schema::{FieldType, Schema};

/// Declares a struct of field numbers, one member for each name, and how to intern them below a prefix.
macro_rules! numbered {
    ($(#[$doc:meta])* $struct:ident { $($member:ident: $name:literal),* $(,)? }) => {
        $(#[$doc])*
        pub(super) struct $struct {
            $(pub(super) $member: FieldNumber,)*
        }

        impl $struct {
            fn intern(table: &mut FieldTable, schema: &Schema, prefix: &str) -> Self {
                $struct { $($member: intern(table, schema, prefix, $name),)* }
            }
        }
    };
}

fn intern(table: &mut FieldTable, schema: &Schema, prefix: &str, name: &str) -> FieldNumber {
    let name = format!("{prefix}{name}");
    // The test below proves that every name is there; the fallback is never taken.
    let field_type = schema.lookup(&name).map_or(FieldType::Keyword, |field| field.field_type);
    table.intern(&name, field_type)
}

numbered!(
    /// What every event has.
    EventFields {
        timestamp: "@timestamp",
        action: "event.action",
        category: "event.category",
        id: "event.id",
        kind: "event.kind",
        module: "event.module",
        sequence: "event.sequence",
        event_type: "event.type",
        host_hostname: "host.hostname",
        host_id: "host.id",
        host_name: "host.name",
        os_type: "host.os.type",
        agent_id: "agent.id",
        agent_type: "agent.type",
    }
);

numbered!(
    /// What every process of an event has: below `process.`, `process.parent.`, and for each leader.
    ImageFields {
        pid: "pid",
        entity_id: "entity_id",
        name: "name",
        executable: "executable",
        args: "args",
        args_count: "args_count",
        command_line: "command_line",
        working_directory: "working_directory",
        interactive: "interactive",
        start: "start",
    }
);

numbered!(
    /// What only the process itself has.
    ProcessFields {
        vpid: "process.vpid",
        tty_major: "process.tty.char_device.major",
        tty_minor: "process.tty.char_device.minor",
        ancestry: "process.Ext.ancestry",
        namespace_mount: "process.Ext.namespace.mount",
        namespace_network: "process.Ext.namespace.network",
        namespace_pid: "process.Ext.namespace.pid",
        cgroup_id: "process.Ext.cgroup.id",
        user_id: "process.user.id",
        user_name: "process.user.name",
        real_user_id: "process.real_user.id",
        saved_user_id: "process.saved_user.id",
        group_id: "process.group.id",
        group_name: "process.group.name",
        real_group_id: "process.real_group.id",
        saved_group_id: "process.saved_group.id",
        event_user_id: "user.id",
        event_user_name: "user.name",
        event_real_user_id: "user.Ext.real.id",
        event_group_id: "group.id",
        event_group_name: "group.name",
        event_real_group_id: "group.Ext.real.id",
        capabilities_effective: "process.thread.capabilities.effective",
        capabilities_permitted: "process.thread.capabilities.permitted",
        env_vars: "process.env_vars",
        previous_executable: "process.previous.executable",
        previous_args: "process.previous.args",
        exit_code: "process.exit_code",
        end: "process.end",
        parent_user_id: "process.parent.user.id",
        parent_group_id: "process.parent.group.id",
        entry_type: "process.entry_leader.entry_meta.type",
    }
);

numbered!(
    /// What is found out in user space.
    EnrichFields {
        container_id: "container.id",
        container_runtime: "container.runtime",
        container_name: "container.name",
        container_image: "container.image.name",
        container_tag: "container.image.tag",
        container_privileged: "container.security_context.privileged",
        orchestrator_type: "orchestrator.type",
        orchestrator_namespace: "orchestrator.namespace",
        resource_type: "orchestrator.resource.type",
        resource_id: "orchestrator.resource.id",
        resource_name: "orchestrator.resource.name",
        entry_source_ip: "process.entry_leader.entry_meta.source.ip",
        process_md5: "process.hash.md5",
        process_sha1: "process.hash.sha1",
        process_sha256: "process.hash.sha256",
        file_md5: "file.hash.md5",
        file_sha1: "file.hash.sha1",
        file_sha256: "file.hash.sha256",
        file_header: "file.Ext.header_bytes",
        file_entropy: "file.Ext.entropy",
    }
);

numbered!(
    /// What only one end of a connection has: below `source.` and `destination.`.
    EndFields { ip: "ip", port: "port", address: "address", bytes: "bytes" }
);

numbered!(
    /// What connections and lookups have beside their ends.
    TrafficFields {
        direction: "network.direction",
        transport: "network.transport",
        network_type: "network.type",
        protocol: "network.protocol",
        dns_id: "dns.id",
        question_name: "dns.question.name",
        question_type: "dns.question.type",
        response_code: "dns.response_code",
        resolved_ip: "dns.resolved_ip",
    }
);

numbered!(
    /// What processes do to themselves and to each other.
    ActFields {
        saved_user_id: "user.Ext.saved.id",
        changed_user_id: "user.changes.id",
        saved_group_id: "group.Ext.saved.id",
        ptrace_request: "process.Ext.ptrace.request",
        ptrace_child: "process.Ext.ptrace.child_pid",
        signal_name: "process.Ext.signal.name",
        signal_number: "process.Ext.signal.number",
        memfd_name: "process.Ext.memfd.name",
        memfd_flags: "process.Ext.memfd.flags",
        memfd_cloexec: "process.Ext.memfd.flag_cloexec",
        memfd_allow_seal: "process.Ext.memfd.flag_allow_seal",
        memfd_hugetlb: "process.Ext.memfd.flag_hugetlb",
        memfd_noexec_seal: "process.Ext.memfd.flag_noexec_seal",
        memfd_exec: "process.Ext.memfd.flag_exec",
        driver_name: "driver.name",
        driver_path: "driver.path",
        module_args: "process.Ext.load_module.args",
        memory_address: "process.Ext.memory_protection.address",
        memory_size: "process.Ext.memory_protection.size",
        memory_protection: "process.Ext.memory_protection.protection",
        memory_protection_old: "process.Ext.memory_protection.protection_old",
        memory_flags: "process.Ext.memory_protection.flags",
        memory_path: "process.Ext.memory_protection.path",
        bpf_command: "process.Ext.bpf.command",
        bpf_name: "process.Ext.bpf.program_name",
        bpf_type: "process.Ext.bpf.program_type",
        target_pid: "Target.process.pid",
        target_entity_id: "Target.process.entity_id",
        target_name: "Target.process.name",
        target_executable: "Target.process.executable",
    }
);

numbered!(
    /// What events about files have.
    FileFields {
        path: "path",
        name: "name",
        extension: "extension",
        directory: "directory",
        inode: "inode",
        file_type: "type",
        mode: "mode",
        uid: "uid",
        gid: "gid",
        size: "size",
        target_path: "target_path",
        open_flags: "Ext.open.flags",
        original_path: "Ext.original.path",
        original_name: "Ext.original.name",
        original_extension: "Ext.original.extension",
        original_mode: "Ext.original.mode",
        original_uid: "Ext.original.uid",
        original_gid: "Ext.original.gid",
    }
);

/// All fields of live events.
pub(super) struct Fields {
    pub(super) table: FieldTable,
    pub(super) event: EventFields,
    pub(super) process: ProcessFields,
    pub(super) enrich: EnrichFields,
    pub(super) traffic: TrafficFields,
    pub(super) source: EndFields,
    pub(super) destination: EndFields,
    pub(super) act: ActFields,
    pub(super) file: FileFields,
    pub(super) own: ImageFields,
    pub(super) parent: ImageFields,
    pub(super) session_leader: ImageFields,
    pub(super) group_leader: ImageFields,
    pub(super) entry_leader: ImageFields,
}

impl Fields {
    pub(super) fn new() -> Self {
        let schema = Schema::ecs();
        let mut table = FieldTable::new();
        Fields {
            event: EventFields::intern(&mut table, &schema, ""),
            enrich: EnrichFields::intern(&mut table, &schema, ""),
            traffic: TrafficFields::intern(&mut table, &schema, ""),
            source: EndFields::intern(&mut table, &schema, "source."),
            destination: EndFields::intern(&mut table, &schema, "destination."),
            own: ImageFields::intern(&mut table, &schema, "process."),
            parent: ImageFields::intern(&mut table, &schema, "process.parent."),
            session_leader: ImageFields::intern(&mut table, &schema, "process.session_leader."),
            group_leader: ImageFields::intern(&mut table, &schema, "process.group_leader."),
            entry_leader: ImageFields::intern(&mut table, &schema, "process.entry_leader."),
            process: ProcessFields::intern(&mut table, &schema, ""),
            act: ActFields::intern(&mut table, &schema, ""),
            file: FileFields::intern(&mut table, &schema, "file."),
            table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_schema() {
        let schema = Schema::ecs();
        let unknown: Vec<String> = Fields::new()
            .table
            .iter()
            .filter(|(_, name, _)| schema.lookup(name).is_none())
            .map(|(_, name, _)| name.to_owned())
            .collect();
        assert_eq!(unknown, Vec::<String>::new());
    }

    #[test]
    fn the_schema_says_what_live_events_have() {
        let table = Fields::new().table;
        let made: std::collections::BTreeSet<&str> = table.iter().map(|(_, name, _)| name).collect();
        let live = || kestrel_schema::event_kinds().iter().filter(|kind| kind.live);
        let said: std::collections::BTreeSet<&str> = live().flat_map(|kind| kind.fields).copied().collect();
        assert_eq!(said, made, "kinds.toml and the fields of live events");
    }
}

//! Writes a record as the kernel programs do: for tests, fixtures and fuzzing of everything that reads records.

use super::{Body, Record};
use crate::layout::{self, RECORD_VERSION};

impl Record<'_> {
    /// The record's bytes, such that [`Record::parse`] gives the same record back. No limit is enforced here, so that
    /// tests can write what the kernel never would.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::new() };
        let size = match self.body {
            Body::Exec(_) => layout::exec::SIZE,
            Body::Fork(_) => layout::fork::SIZE,
            Body::Exit(_) => layout::exit::SIZE,
        };
        writer.bytes.resize(size, 0);
        writer.put(layout::header::VERSION, &RECORD_VERSION.to_le_bytes());
        writer.put(layout::header::KIND, &self.header.kind.number().to_le_bytes());
        writer.put(layout::header::TIMESTAMP, &self.header.timestamp.to_le_bytes());
        writer.put(layout::header::SEQUENCE, &self.header.sequence.to_le_bytes());
        writer.put(layout::header::CPU, &self.header.cpu.to_le_bytes());
        writer.put(layout::header::FLAGS, &self.header.flags.0.to_le_bytes());
        self.encode_task(&mut writer);
        match &self.body {
            Body::Exec(exec) => {
                use layout::exec::*;
                writer.put(ARGUMENTS_TOTAL, &exec.arguments_total.to_le_bytes());
                writer.put(ARGUMENT_COUNT, &exec.argument_count.to_le_bytes());
                let mut filename = exec.filename.to_vec();
                filename.push(0);
                writer.section(FILENAME_LENGTH, &filename);
                writer.section(EXECUTABLE_LENGTH, exec.executable.as_bytes());
                writer.section(DIRECTORY_LENGTH, exec.directory.as_bytes());
                writer.section(ARGUMENTS_LENGTH, exec.arguments.as_bytes());
            }
            Body::Fork(fork) => {
                writer.put(layout::fork::CREATOR_START_TIME, &fork.creator_start_time.to_le_bytes());
                writer.put(layout::fork::CREATOR_PID, &fork.creator_pid.to_le_bytes());
            }
            Body::Exit(exit) => writer.put(layout::exit::STATUS, &exit.status.to_le_bytes()),
        }
        let length = writer.bytes.len() as u32;
        writer.put(layout::header::LENGTH, &length.to_le_bytes());
        writer.bytes
    }

    fn encode_task(&self, writer: &mut Writer) {
        use layout::task::*;
        let task = &self.task;
        for (offset, value) in [
            (START_TIME, task.start_time),
            (PARENT_START_TIME, task.parent_start_time),
            (CGROUP_ID, task.cgroup_id),
            (CAPABILITIES_PERMITTED, task.capabilities_permitted),
            (CAPABILITIES_EFFECTIVE, task.capabilities_effective),
        ] {
            writer.put(layout::header::SIZE + offset, &value.to_le_bytes());
        }
        for (offset, value) in [
            (PID, task.pid),
            (PARENT_PID, task.parent_pid),
            (SESSION_ID, task.session_id),
            (GROUP_ID, task.group_id),
            (NAMESPACE_PID, task.namespace_pid),
            (USER_ID, task.user_id),
            (USER_GROUP_ID, task.user_group_id),
            (EFFECTIVE_USER_ID, task.effective_user_id),
            (EFFECTIVE_GROUP_ID, task.effective_group_id),
            (SAVED_USER_ID, task.saved_user_id),
            (SAVED_GROUP_ID, task.saved_group_id),
            (TTY_MAJOR, task.tty_major),
            (TTY_MINOR, task.tty_minor),
            (MOUNT_NAMESPACE, task.mount_namespace),
            (PID_NAMESPACE, task.pid_namespace),
            (NETWORK_NAMESPACE, task.network_namespace),
            (FLAGS, u32::from(task.kernel_thread)),
        ] {
            writer.put(layout::header::SIZE + offset, &value.to_le_bytes());
        }
        writer.put(layout::header::SIZE + COMM, &task.comm);
    }
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn put(&mut self, offset: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(offset..offset + value.len()) {
            place.copy_from_slice(value);
        }
    }

    fn section(&mut self, length_at: usize, section: &[u8]) {
        self.put(length_at, &(section.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(section);
    }
}

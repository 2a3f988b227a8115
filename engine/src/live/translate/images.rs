//! The fields that every process of an event has: the process itself, its parent and its leaders alike.

use std::fmt::Write as _;

use kestrel_ir::event::{Event, EventFlags, FieldNumber};

use crate::live::clock::Clock;
use crate::live::fields::ImageFields;
use crate::live::host::Host;
use crate::process_table::{EntityId, Image, Process, ProcessTable};

/// Writes the fields that every process of an event has.
pub(super) struct ImageWriter<'w> {
    pub(super) event: &'w mut Event,
    pub(super) text: &'w mut String,
    pub(super) table: &'w ProcessTable,
    pub(super) clock: &'w Clock,
    pub(super) host: &'w Host,
}

impl ImageWriter<'_> {
    /// A process that may be known by its id alone.
    pub(super) fn relative(&mut self, fields: &ImageFields, id: EntityId) {
        match self.table.get(id) {
            Some(process) => self.process(fields, process),
            None => self.identity(fields, id),
        }
    }

    fn identity(&mut self, fields: &ImageFields, id: EntityId) {
        self.event.push_integer(fields.pid, id.pid.into());
        push_display(self.event, self.text, fields.entity_id, self.host.boot.print(id));
    }

    /// A process of the table.
    pub(super) fn process(&mut self, fields: &ImageFields, process: &Process) {
        self.identity(fields, process.facts.id);
        let image: &Image = &process.image;
        push_some(self.event, fields.name, &image.name);
        push_some(self.event, fields.executable, &image.executable);
        push_some(self.event, fields.working_directory, &image.working_directory);
        self.text.clear();
        for (index, argument) in image.arguments().enumerate() {
            self.event.push_text(fields.args, argument);
            if index > 0 {
                self.text.push(' ');
            }
            self.text.push_str(argument);
        }
        if image.argument_count > 0 {
            self.event.push_integer(fields.args_count, image.argument_count.into());
            self.event.push_text(fields.command_line, self.text);
        }
        if image.truncated {
            self.event.flags.insert(EventFlags::TRUNCATED);
        }
        self.event.push_boolean(fields.interactive, process.facts.interactive);
        self.event.push_integer(fields.start, self.clock.calendar(process.facts.start_time));
    }
}

/// Adds a text that is known.
pub(super) fn push_some(event: &mut Event, field: FieldNumber, text: &str) {
    if !text.is_empty() {
        event.push_text(field, text);
    }
}

/// Adds a value as text, put together in `text`.
pub(super) fn push_display(event: &mut Event, text: &mut String, field: FieldNumber, value: impl std::fmt::Display) {
    text.clear();
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
    event.push_text(field, text);
}

//! Random events for a pack: values are drawn from the pack's own constants, their neighbours and the edges of each type,
//! so that tests are met about as often as not.
//!
//! In: an IR. Out: [`Event`]s over a table with all fields of its layout, some of them read back from JSON.

use kestrel_ir::event::{Event, FieldNumber, FieldTable, FieldValue, ip_octets};
use kestrel_ir::event_json::Decoder;
use kestrel_ir::frame::FrameBuilder;
use kestrel_ir::model::{Atom, Constant, Ir, StringMatch, Value};
use kestrel_ir::render::Renderer;
use kestrel_ir::time::format_rfc3339;
use kestrel_schema::{FieldType, Schema};
use serde_json::Value as Json;

use super::Random;
use super::words::{ADDRESSES, DATES, FLOATS, INTEGERS, ODD_FLOATS, TEXTS, VERSIONS};

/// The time of a run's first event, in nanoseconds since 1970.
pub const START: i64 = 1_700_000_000_000_000_000;

/// Makes events for one pack.
pub struct Events {
    table: FieldTable,
    pools: Vec<Pool>,
    /// Objects and their children.
    objects: Vec<(FieldNumber, Vec<FieldNumber>)>,
    builder: FrameBuilder,
    renderer: Renderer,
    decoder: Decoder,
    ir: Ir,
}

/// What a field's values are drawn from.
#[derive(Debug, Default, Clone)]
struct Pool {
    texts: Vec<String>,
    integers: Vec<i64>,
    floats: Vec<f64>,
    addresses: Vec<[u8; 16]>,
    /// Whether only these are drawn.
    closed: bool,
}

impl Events {
    /// Looks up the constants of a pack.
    pub fn new(ir: &Ir) -> Events {
        let mut table = FieldTable::new();
        FrameBuilder::wanted(&ir.layout, &mut table);
        let mut pools = vec![Pool::default(); table.len()];
        for atom in &ir.atoms {
            harvest(atom, ir, &table, &mut pools);
        }
        let mut everywhere = Pool::default();
        ir.values.iter().for_each(|value| harvest_value(value, &mut everywhere));
        for pool in &mut pools {
            pool.texts.extend_from_slice(&everywhere.texts);
            pool.integers.extend_from_slice(&everywhere.integers);
            pool.floats.extend_from_slice(&everywhere.floats);
        }
        if let Some(lineage) = ir.lineage {
            let close = |pools: &mut Vec<Pool>, field, words: &[&str]| {
                if let Some(number) = table.lookup(ir.layout.name(field)) {
                    let pool = &mut pools[number.0 as usize];
                    pool.texts.extend(words.iter().map(|&word| word.to_owned()));
                    pool.closed = true;
                }
            };
            for field in [lineage.entity, lineage.parent, lineage.ancestry] {
                close(&mut pools, field, &["p0", "p1", "p2", "p3"]);
            }
            close(&mut pools, lineage.event_type, &["start", "change", "end"]);
        }
        let objects = ir.layout.iter().filter(|(_, field)| field.field_type == FieldType::Object);
        let objects = objects
            .filter_map(|(id, field)| {
                let children = ir.layout.children(id).filter_map(|(_, child)| table.lookup(&child.name));
                Some((table.lookup(&field.name)?, children.collect()))
            })
            .collect();
        let schema = Schema::ecs();
        Events {
            builder: FrameBuilder::new(&ir.layout, &table),
            renderer: Renderer::new(&ir.layout, &schema),
            decoder: Decoder::new(&table, schema.event()),
            ir: ir.clone(),
            table,
            pools,
            objects,
        }
    }

    /// The fields of the events.
    pub fn table(&self) -> &FieldTable {
        &self.table
    }

    /// An event at `timestamp`, the `ordinal`th of its stream.
    pub fn event(&mut self, random: &mut Random, timestamp: i64, ordinal: u64) -> Event {
        let mut event = Event::new();
        event.timestamp = timestamp;
        event.ordinal = ordinal;
        // How many fields an event has differs more than between fields of one event.
        let presence = random.pick(&[0, 15, 50, 50, 80, 80, 95]);
        let crowded = random.once_in(40).then(|| random.below(self.table.len()));
        let fields: Vec<(FieldNumber, FieldType)> =
            self.table.iter().map(|(number, _, field_type)| (number, field_type)).collect();
        let is_child = |number: FieldNumber| self.objects.iter().any(|(_, children)| children.contains(&number));
        for &(number, field_type) in &fields {
            if field_type == FieldType::Object || is_child(number) || !random.percent(presence) {
                continue;
            }
            let count = match crowded == Some(number.0 as usize) {
                true => random.pick(&[17, 33, 64]),
                false => random.pick(&[1, 1, 1, 1, 1, 2, 3]),
            };
            for _ in 0..count {
                self.push(random, &mut event, number, 0, field_type);
            }
        }
        for (object, children) in &self.objects {
            if !random.percent(presence) {
                continue;
            }
            for element in 0..random.pick(&[1, 1, 2, 3, 9]) {
                event.push_value(*object, element, FieldValue::Boolean(true));
                for &child in children {
                    for _ in 0..random.pick(&[0, 1, 1, 2]) {
                        self.push(random, &mut event, child, element, self.table.field_type(child));
                    }
                }
            }
        }
        if random.once_in(12) { self.through_json(&event) } else { event }
    }

    fn push(&self, random: &mut Random, event: &mut Event, number: FieldNumber, element: u32, field_type: FieldType) {
        let pool = &self.pools[number.0 as usize];
        match field_type {
            FieldType::Keyword => {
                let text = text(random, pool, &TEXTS);
                event.push_value(number, element, FieldValue::Text(&text));
            }
            FieldType::Version => {
                let text = text(random, pool, &VERSIONS);
                event.push_value(number, element, FieldValue::Text(&text));
            }
            FieldType::Long | FieldType::Date => {
                let usual: &[i64] = if field_type == FieldType::Date { &DATES } else { &INTEGERS };
                let value = draw(random, &pool.integers, usual);
                let value = value.wrapping_add(random.pick(&[0, 0, 0, 0, 0, 0, 1, -1]));
                event.push_value(number, element, FieldValue::Integer(value));
            }
            FieldType::Double => {
                let odd = random.once_in(30);
                let value = if odd { random.pick(&ODD_FLOATS) } else { draw(random, &pool.floats, &FLOATS) };
                event.push_value(number, element, FieldValue::Float(value));
            }
            FieldType::Boolean => event.push_value(number, element, FieldValue::Boolean(random.once_in(2))),
            FieldType::Ip => {
                let usual: Vec<[u8; 16]> =
                    ADDRESSES.iter().filter_map(|text| text.parse().ok()).map(ip_octets).collect();
                let mut octets = draw(random, &pool.addresses, &usual);
                if random.once_in(8) {
                    octets[15] ^= 1;
                }
                event.push_value(number, element, FieldValue::Ip(octets));
            }
            FieldType::Object => {}
        }
    }

    /// The same event, written as JSON and read back: what no JSON can say is missing then.
    fn through_json(&mut self, event: &Event) -> Event {
        let frame = self.builder.build(event);
        let mut document = self.renderer.document(&self.ir.layout, frame);
        document.insert("@timestamp".to_owned(), Json::from(format_rfc3339(event.timestamp)));
        let text = Json::Object(document).to_string();
        let mut read = Event::new();
        // A date before the year 1 or after 9999 has no text that reads back; such an event stays as it is.
        if self.decoder.decode(text.as_bytes(), &mut read).is_err() {
            return event.clone();
        }
        read.ordinal = event.ordinal;
        read.timestamp = event.timestamp;
        read
    }
}

/// One of the pack's own constants, or of the usual ones.
fn draw<T: Copy>(random: &mut Random, own: &[T], usual: &[T]) -> T {
    if own.is_empty() || random.percent(25) { random.pick(usual) } else { random.pick(own) }
}

fn text(random: &mut Random, pool: &Pool, usual: &[&str]) -> String {
    if pool.closed || (!pool.texts.is_empty() && !random.percent(25)) {
        let mut text = pool.texts[random.below(pool.texts.len())].clone();
        if !pool.closed {
            match random.below(24) {
                0 => text = text.to_uppercase(),
                1 => text = text.to_lowercase(),
                2 => text.push('x'),
                3 => text.insert(0, 'ß'),
                4 => drop(text.pop()),
                _ => {}
            }
        }
        return text;
    }
    match random.below(400) {
        0 => random.pick(usual).repeat(1 + random.below(2000)),
        1 => "x".repeat(random.below(70_000)),
        _ => random.pick(usual).to_owned(),
    }
}

/// A text that a wildcard pattern matches.
fn instance(random: &mut Random, pattern: &str) -> String {
    let mut text = String::new();
    for character in pattern.chars() {
        match character {
            '*' => text.push_str(random.pick(&["", "x", "/tmp/", "Ab", "😀"])),
            '?' => text.push(random.pick(&['a', 'Z', 'ß', '😀'])),
            _ => text.push(character),
        }
    }
    text
}

fn harvest(atom: &Atom, ir: &Ir, table: &FieldTable, pools: &mut [Pool]) {
    let (Atom::Strings { field, .. }
    | Atom::StringOrder { field, .. }
    | Atom::VersionOrder { field, .. }
    | Atom::Integers { field, .. }
    | Atom::IntegerOrder { field, .. }
    | Atom::FloatOrder { field, .. }
    | Atom::Cidr { field, .. }) = atom
    else {
        return;
    };
    let number = table.lookup(ir.layout.name(*field));
    let Some(pool) = number.and_then(|number| pools.get_mut(number.0 as usize)) else { return };
    match atom {
        Atom::Strings { matching: StringMatch::Exact, strings, .. } => pool.texts.extend_from_slice(strings),
        Atom::Strings { matching: StringMatch::Wildcard, strings, .. } => {
            // The same texts for the same pack, whoever asks.
            let mut random = Random::new(strings.len() as u64 + 1);
            pool.texts.extend(strings.iter().map(|pattern| instance(&mut random, pattern)));
        }
        Atom::StringOrder { value, .. } | Atom::VersionOrder { value, .. } => pool.texts.push(value.clone()),
        Atom::Integers { values, .. } => pool.integers.extend(values.iter().take(12)),
        Atom::IntegerOrder { value, .. } => pool.integers.push(*value),
        Atom::FloatOrder { value, .. } => {
            pool.floats.push(*value);
            pool.integers.push(*value as i64);
        }
        Atom::Cidr { blocks, .. } => pool.addresses.extend(blocks.iter().map(|block| block.network())),
        _ => {}
    }
}

fn harvest_value(value: &Value, pool: &mut Pool) {
    match value {
        Value::Constant(Constant::Integer(value)) => pool.integers.push(*value),
        Value::Constant(Constant::Float(value)) => pool.floats.push(*value),
        Value::Constant(Constant::String(text)) => pool.texts.push(text.clone()),
        Value::Matches { matching: StringMatch::Exact, strings, .. } => pool.texts.extend_from_slice(strings),
        _ => {}
    }
}

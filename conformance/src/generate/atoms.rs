//! Atoms of every kind that tests a field by itself. Those that compute, search objects or ask for relatives are made by
//! [`packs`](super::packs), which knows the tables that they refer to.

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, StringMatch};
use kestrel_schema::FieldType;

use super::fields::Fields;
use super::words::{
    BLOCKS, DATES, FLOATS, INTEGERS, PATTERNS, REGEXES, TEXTS, VERSIONS, blocks, comparison, each_once, order, some,
    sorted,
};
use super::{Random, words};

/// An atom over one field: inside the search of `object`, mostly over one of its children.
pub fn atom(random: &mut Random, fields: &Fields, object: Option<FieldId>) -> Atom {
    use FieldType::{Boolean, Date, Double, Ip, Keyword, Long, Version};
    match random.below(20) {
        0 => Atom::Present { field: fields.any(random, object) },
        1 | 2 => Atom::Boolean { field: fields.pick(random, object, &[Boolean]), value: random.once_in(2) },
        3..8 => {
            let field = fields.pick(random, object, &[Keyword, Keyword, Keyword, Version]);
            strings(random, field, fields.layout.field_type(field) == Version)
        }
        8 => {
            let value = text(random).to_owned();
            Atom::StringOrder { field: fields.pick(random, object, &[Keyword]), order: order(random), value }
        }
        9..12 => {
            let field = fields.pick(random, object, &[Long, Long, Date]);
            let pool: &[i64] = if fields.layout.field_type(field) == Date { &DATES } else { &INTEGERS };
            integers(random, field, pool)
        }
        12..14 => {
            let field = fields.pick(random, object, &[Long, Long, Date]);
            let pool: &[i64] = if fields.layout.field_type(field) == Date { &DATES } else { &INTEGERS };
            Atom::IntegerOrder { field, order: order(random), value: random.pick(pool) }
        }
        14..16 => {
            let field = fields.pick(random, object, &[Double, Long]);
            Atom::FloatOrder { field, comparison: comparison(random), value: random.pick(&FLOATS) }
        }
        16 | 17 => Atom::Cidr { field: fields.pick(random, object, &[Ip]), blocks: blocks(random) },
        _ => {
            let value = random.pick(&VERSIONS).to_owned();
            Atom::VersionOrder { field: fields.pick(random, object, &[Version]), comparison: comparison(random), value }
        }
    }
}

/// Strings that match in any way.
pub fn strings(random: &mut Random, field: FieldId, versions: bool) -> Atom {
    let fold = random.once_in(2);
    let (matching, strings) = string_list(random, fold, versions);
    Atom::Strings { field, matching, fold, strings }
}

/// A way of matching and a list for it.
pub fn string_list(random: &mut Random, fold: bool, versions: bool) -> (StringMatch, Vec<String>) {
    let exact: &[&str] = if versions { &VERSIONS } else { &TEXTS };
    match random.below(9) {
        0..4 => (StringMatch::Exact, sorted(&some(random, exact, 20), fold)),
        4..7 => (StringMatch::Wildcard, sorted(&some(random, &PATTERNS, 12), fold)),
        _ => (StringMatch::Regex, each_once(&some(random, &REGEXES, 5))),
    }
}

fn integers(random: &mut Random, field: FieldId, pool: &[i64]) -> Atom {
    let mut values = words::some(random, pool, 20);
    if random.once_in(10) {
        // More than any runtime tests one by one.
        values.extend(400..400 + random.below(80) as i64);
    }
    values.sort_unstable();
    values.dedup();
    Atom::Integers { field, values }
}

/// A text, now and then one that looks like something else.
fn text(random: &mut Random) -> &'static str {
    if random.once_in(12) { random.pick(&BLOCKS) } else { random.pick(&TEXTS) }
}

//! Keys of the ends of connections: addresses and ports.
//!
//! In: a test of an address or a port, and whether it is true or false. Out: the addresses or ports that events then have. What
//! a test leaves out is a key as well (`not cidrMatch(destination.ip, "127.0.0.0/8")`), but only in kinds of which every event
//! has the field.

use std::rc::Rc;

use kestrel_ir::model::{Atom, AtomId, Order};
use kestrel_ir::pack::{FilterKey, FilterTest};

use super::{ALL_BUT_NETWORKS, Answer, Answers, Chosen, Cost, EVERYWHERE, MAX_KEYS, NETWORK, ONE_PORT};

/// What is excluded beyond this many bytes of text is left out: then more passes.
const MAX_EXCLUDED: usize = 1_000;

impl Answers<'_> {
    /// What is known of events for which the atom is true, or false; `None` when it is no test of an end of a connection.
    pub(super) fn of_end(&self, id: AtomId, holds: bool) -> Option<Answer> {
        let atom = self.ir.atom(id)?;
        let (Atom::Cidr { field, .. } | Atom::Integers { field, .. } | Atom::IntegerOrder { field, .. }) = atom else {
            return None;
        };
        let definition = self.ir.layout.get(*field).filter(|definition| definition.parent.is_none())?;
        let name = definition.name.as_str();
        let test = match name {
            "source.ip" => FilterTest::SourceAddress,
            "destination.ip" => FilterTest::DestinationAddress,
            "source.port" => FilterTest::SourcePort,
            "destination.port" => FilterTest::DestinationPort,
            _ => return None,
        };
        if !self.kind.fields.contains(&name) {
            return None;
        }
        let of_address = matches!(test, FilterTest::SourceAddress | FilterTest::DestinationAddress);
        let items = items(atom, of_address)?;
        if items.is_empty() {
            return Some(if holds { Answer::Never } else { Answer::Whatever });
        }
        if holds && items.len() > MAX_KEYS {
            return Some(Answer::Whatever);
        }
        let is_range = matches!(atom, Atom::IntegerOrder { .. });
        let cost: Cost = match (of_address, holds) {
            (true, true) => NETWORK,
            (true, false) => ALL_BUT_NETWORKS,
            (false, true) if !is_range => ONE_PORT,
            (false, _) => EVERYWHERE,
        };
        let texts = if holds { items } else { vec![all_but(&items)] };
        let keys = texts.into_iter().map(|text| FilterKey { test, text }).collect();
        let mut chosen = Chosen { fields: vec![name.to_owned()], keys, cost };
        chosen.keys.sort_unstable();
        chosen.keys.dedup();
        Some(Answer::Keys(Rc::new(chosen)))
    }
}

/// What an end must be in for the atom to be true; no more than is too much already.
fn items(atom: &Atom, of_address: bool) -> Option<Vec<String>> {
    match atom {
        Atom::Cidr { blocks, .. } if of_address => {
            Some(blocks.iter().take(MAX_KEYS + 1).map(ToString::to_string).collect())
        }
        Atom::Integers { values, .. } if !of_address => {
            let ports = values.iter().filter_map(|&value| u16::try_from(value).ok());
            Some(ports.take(MAX_KEYS + 1).map(|port| port.to_string()).collect())
        }
        Atom::IntegerOrder { order, value, .. } if !of_address => {
            let (first, last) = match order {
                Order::Less => (0, value.saturating_sub(1)),
                Order::LessEqual => (0, *value),
                Order::Greater => (value.saturating_add(1), i64::MAX),
                Order::GreaterEqual => (*value, i64::MAX),
            };
            let (first, last) = (first.max(0), last.min(u16::MAX.into()));
            Some(if first <= last { vec![format!("{first}-{last}")] } else { Vec::new() })
        }
        _ => None,
    }
}

/// All but these, as far as there is room for them.
fn all_but(items: &[String]) -> String {
    let mut text = String::from("!");
    for item in items {
        if text.len() + item.len() >= MAX_EXCLUDED {
            break;
        }
        if text.len() > 1 {
            text.push(' ');
        }
        text.push_str(item);
    }
    text
}

#[cfg(test)]
mod tests {
    use kestrel_ir::cidr::Cidr;
    use kestrel_ir::layout::FieldId;

    use super::*;

    const FIELD: FieldId = FieldId(0);

    #[test]
    fn tests_of_ends_are_what_the_end_must_be_in() {
        let block = |text| Cidr::parse(text).expect("a block");
        let addresses = Atom::Cidr { field: FIELD, blocks: vec![block("10.1.2.3/8"), block("::1")] };
        assert_eq!(items(&addresses, true), Some(vec!["10.0.0.0/8".to_owned(), "::1/128".to_owned()]));
        assert_eq!(all_but(&items(&addresses, true).expect("blocks")), "!10.0.0.0/8 ::1/128");
        let ports = Atom::Integers { field: FIELD, values: vec![-1, 22, 4444, 70_000] };
        assert_eq!(items(&ports, false), Some(vec!["22".to_owned(), "4444".to_owned()]));
        for (order, value, expected) in [
            (Order::Less, 1024, vec!["0-1023"]),
            (Order::LessEqual, 1024, vec!["0-1024"]),
            (Order::Greater, 1024, vec!["1025-65535"]),
            (Order::GreaterEqual, -5, vec!["0-65535"]),
            (Order::Greater, 65_535, vec![]),
            (Order::Less, 0, vec![]),
            (Order::Less, i64::MIN, vec![]),
            (Order::Greater, i64::MAX, vec![]),
        ] {
            let expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(
                items(&Atom::IntegerOrder { field: FIELD, order, value }, false),
                Some(expected),
                "{order:?} {value}"
            );
        }
    }

    #[test]
    fn what_has_no_room_is_not_excluded() {
        let many: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let text = all_but(&many);
        assert!(text.len() < MAX_EXCLUDED && text.starts_with("!0 1 2") && !text.ends_with(' '));
    }
}

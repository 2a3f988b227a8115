//! Join keys: the values that the events of one sequence or sample share.

use kestrel_ir::frame::{Frame, Slot};
use kestrel_ir::layout::Layout;
use kestrel_ir::model::Key;

/// The most join keys that one event gives for one term when key fields hold many values; those beyond are left out.
pub const MAX_KEYS_PER_EVENT: usize = 64;

/// One value of a join key. Numbers compare by value across `long` and `double`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyPart {
    /// A missing `?key`.
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer, a date, or a decimal that is a whole number.
    Integer(i64),
    /// The bits of any other decimal.
    Float(u64),
    /// A text or version.
    Text(Box<str>),
    /// An address.
    Ip([u8; 16]),
}

/// The values of one key, in the order of its fields.
pub type JoinKey = Box<[KeyPart]>;

impl KeyPart {
    fn from_slot(slot: Slot<'_>) -> Option<KeyPart> {
        Some(match slot {
            Slot::Boolean(value) => KeyPart::Boolean(value),
            Slot::Integer(value) => KeyPart::Integer(value),
            Slot::Float(value) => KeyPart::from_float(value),
            Slot::Text(text) => KeyPart::Text(text.into()),
            Slot::Ip(octets) => KeyPart::Ip(octets),
            Slot::Object(_) => return None,
        })
    }

    /// A decimal; a whole one is the integer.
    pub(crate) fn from_float(value: f64) -> KeyPart {
        if value.fract() == 0.0 && value.abs() < 9.0e18 {
            KeyPart::Integer(value as i64)
        } else {
            KeyPart::Float(value.to_bits())
        }
    }

    /// The value as an alert shows it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            KeyPart::Null => serde_json::Value::Null,
            KeyPart::Boolean(value) => (*value).into(),
            KeyPart::Integer(value) => (*value).into(),
            KeyPart::Float(bits) => f64::from_bits(*bits).into(),
            KeyPart::Text(text) => text.as_ref().into(),
            KeyPart::Ip(octets) => kestrel_ir::event::ip_address(*octets).to_string().into(),
        }
    }
}

/// The join keys that an event gives for a term: none when a key is missing, several when a field holds many values.
/// Returns whether some were left out because there were more than [`MAX_KEYS_PER_EVENT`].
pub fn join_keys(layout: &Layout, keys: &[Key], frame: Frame<'_>, out: &mut Vec<JoinKey>) -> bool {
    out.clear();
    let mut products: Vec<Vec<KeyPart>> = vec![Vec::with_capacity(keys.len())];
    let mut cut = false;
    for key in keys {
        let mut parts: Vec<KeyPart> = Vec::new();
        if let Some(field) = key.field {
            for part in frame.values(layout, field).iter().filter_map(KeyPart::from_slot) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
        if parts.is_empty() {
            if !key.optional {
                return false;
            }
            parts.push(KeyPart::Null);
        }
        if let [only] = &parts[..] {
            products.iter_mut().for_each(|product| product.push(only.clone()));
            continue;
        }
        if products.len() * parts.len() > MAX_KEYS_PER_EVENT {
            parts.truncate((MAX_KEYS_PER_EVENT / products.len()).max(1));
            cut = true;
        }
        products = products
            .iter()
            .flat_map(|product| {
                parts.iter().map(move |part| product.iter().cloned().chain([part.clone()]).collect::<Vec<_>>())
            })
            .collect();
    }
    out.extend(products.into_iter().map(Vec::into_boxed_slice));
    cut
}

//! What transports need to know of an alert, read from its line.

use std::borrow::Cow;

use serde::Deserialize;

/// The parts of an alert that transports carry beside it. What is not there is empty.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct AlertHead<'a> {
    #[serde(default, borrow, rename = "@timestamp")]
    pub(super) timestamp: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) event: EventHead<'a>,
    #[serde(default, borrow)]
    pub(super) rule: RuleHead<'a>,
    #[serde(default, borrow)]
    pub(super) message: Cow<'a, str>,
}

/// Of `event`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct EventHead<'a> {
    #[serde(default, borrow)]
    pub(super) id: Cow<'a, str>,
}

/// Of `rule`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct RuleHead<'a> {
    #[serde(default, borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(default, borrow)]
    pub(super) severity: Cow<'a, str>,
}

impl<'a> AlertHead<'a> {
    /// Reads the line of an alert.
    pub(super) fn read(line: &'a str) -> AlertHead<'a> {
        serde_json::from_str(line).unwrap_or_default()
    }

    /// The rule's severity as syslog numbers it (RFC 5424, section 6.2.1).
    pub(super) fn priority(&self) -> u8 {
        match self.rule.severity.as_ref() {
            "critical" => 2,
            "high" => 3,
            "medium" => 4,
            "low" => 5,
            _ => 6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_alert_is_read_and_what_is_missing_is_empty() {
        let line = r#"{"@timestamp":"x","event":{"kind":"alert","id":"1f"},"rule":{"id":"r","severity":"high"},"message":"a \"b\""}"#;
        let head = AlertHead::read(line);
        assert_eq!((head.event.id.as_ref(), head.rule.id.as_ref(), head.priority()), ("1f", "r", 3));
        assert_eq!(head.message, "a \"b\"");
        assert_eq!(AlertHead::read("{}").priority(), 6);
        assert_eq!(AlertHead::read("no JSON"), AlertHead::default());
    }
}

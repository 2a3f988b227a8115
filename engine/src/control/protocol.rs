//! What is asked and answered, as JSON.
//!
//! ```text
//! {"command":"status"}                                     {"ok":true,"status":{…}}
//! {"command":"explain","rule":"R","key":["a"],"limit":10}  {"ok":true,"explain":{…}}
//! {"command":"reload"}                                     {"ok":true,"reload":{…}}
//! {"command":"dance"}                                      {"ok":false,"error":"…"}
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{ANSWER_TIME, RELOAD_TIME};
use crate::explain::RuleState;

/// The most keys that an answer tells of, and the most endings of each.
pub const MAX_LIMIT: usize = 1_000;
/// As many as are told when nobody says otherwise.
const USUAL_LIMIT: usize = 10;

/// A question to a running engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// What the run did so far.
    Status {},
    /// How far a rule's keys came.
    Explain(ExplainRequest),
    /// Read the packs again and run what they are now.
    Reload {},
    /// Run the packs again that ran before the last reload.
    Rollback {},
    /// Have the kernel produce no events of a kind, or again.
    Bypass {
        /// The kind's name.
        kind: String,
        /// Whether it is bypassed from now on.
        on: bool,
    },
}

impl Request {
    /// Whether other packs are to run, which takes a while.
    pub fn changes_packs(&self) -> bool {
        matches!(self, Request::Reload {} | Request::Rollback {})
    }

    /// How long an engine may take to answer.
    pub fn answer_time(&self) -> Duration {
        match self {
            Request::Status {} | Request::Explain(_) | Request::Bypass { .. } => ANSWER_TIME,
            Request::Reload {} | Request::Rollback {} => RELOAD_TIME,
        }
    }
}

/// Which rule, and which of its keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    /// The rule's id.
    pub rule: String,
    /// The values of one key; all keys without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<Json>>,
    /// The most keys, and the most endings of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl ExplainRequest {
    /// The limit that holds.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL_LIMIT).clamp(1, MAX_LIMIT)
    }
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// Whether it is one.
    pub ok: bool,
    /// Why it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// To `status`: the same keys as those of `--stats json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Json>,
    /// To `explain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<RuleState>,
    /// To `reload` and `rollback`: the keys that `reload` has in the status, and `warnings`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reload: Option<Json>,
    /// To `bypass`: what the status has under `bypass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Json>,
}

impl Response {
    /// The answer to `status`.
    pub fn of_status(status: Json) -> Response {
        Response { ok: true, status: Some(status), ..Response::default() }
    }

    /// The answer to `explain`.
    pub fn of_rule(state: RuleState) -> Response {
        Response { ok: true, explain: Some(state), ..Response::default() }
    }

    /// The answer to `reload` and `rollback`.
    pub fn of_reload(reload: Json) -> Response {
        Response { ok: true, reload: Some(reload), ..Response::default() }
    }

    /// The answer to `bypass`.
    pub fn of_bypass(bypass: Json) -> Response {
        Response { ok: true, bypass: Some(bypass), ..Response::default() }
    }

    /// There is no answer.
    pub fn failed(error: impl Into<String>) -> Response {
        Response { error: Some(error.into()), ..Response::default() }
    }
}

/// Reads a request from its line.
///
/// # Errors
/// When it is none; the text says why.
pub fn parse_request(line: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(line).map_err(|error| format!("this is no request: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_everything_else_is_refused() {
        assert_eq!(parse_request(br#"{"command":"status"}"#), Ok(Request::Status {}));
        let explain = ExplainRequest { rule: "r".to_owned(), key: Some(vec!["a".into(), 1.into()]), limit: None };
        let text = br#"{"command":"explain","rule":"r","key":["a",1]}"#;
        assert_eq!(parse_request(text), Ok(Request::Explain(explain)));
        for (line, expected) in [
            (
                r#"{"command":"disarm"}"#,
                "unknown variant `disarm`, expected one of `status`, `explain`, `reload`, `rollback`, `bypass`",
            ),
            (r#"{"command":"explain"}"#, "missing field `rule`"),
            (r#"{"command":"explain","rule":"r","keys":[]}"#, "unknown field `keys`"),
            (r#"{"command":"status","x":1}"#, "unknown field `x`"),
            ("status", "expected value"),
            ("", "EOF"),
            (&"[".repeat(100_000), "line 1 column"),
        ] {
            let error = parse_request(line.as_bytes()).expect_err(line);
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        let limit = |limit| ExplainRequest { limit, ..ExplainRequest::default() }.limit();
        assert_eq!([limit(None), limit(Some(0)), limit(Some(usize::MAX))], [USUAL_LIMIT, 1, MAX_LIMIT]);
    }
}

//! Alerts: a match as an ECS document with a fixed field order, made of the evidence that the match carries.

use kestrel_ir::event::EventFlags;
use kestrel_ir::layout::Layout;
use kestrel_ir::render::Renderer;
use kestrel_ir::time::format_rfc3339;
use kestrel_schema::Schema;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::matcher::Match;
use crate::program::CaptureValue;

/// What an alert says of its rule.
#[derive(Debug, Clone)]
pub struct AlertRule {
    /// The rule's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: Option<String>,
    /// 0 to 100.
    pub risk_score: Option<u64>,
    /// The rule's entries of `threat`, as ECS has them.
    pub threat: Vec<Json>,
    /// `event`, `sequence` or `sample`.
    pub kind: &'static str,
}

/// Makes the alerts of one pack.
#[derive(Debug)]
pub struct AlertMaker {
    layout: Layout,
    renderer: Renderer,
    rules: Vec<AlertRule>,
    pack: String,
}

impl AlertMaker {
    /// A maker for the rules of a pack, in the pack's order. `pack` is the pack's content hash or name, as shown.
    pub fn new(layout: &Layout, schema: &Schema, rules: Vec<AlertRule>, pack: &str) -> AlertMaker {
        AlertMaker { layout: layout.clone(), renderer: Renderer::new(layout, schema), rules, pack: pack.to_owned() }
    }

    /// The alert of a match, as one line of JSON without its line end.
    ///
    /// The id is a hash over the rule and the events' documents, so the same match has the same id in every run.
    pub fn line(&self, found: &Match) -> String {
        self.line_with_losses(found, 0)
    }

    /// The same, and that the source lost so many events while those of the match came.
    pub fn line_with_losses(&self, found: &Match, losses: u64) -> String {
        self.document(found, losses).to_string()
    }

    fn document(&self, found: &Match, losses: u64) -> Json {
        let documents: Vec<Json> = found
            .events
            .iter()
            .map(|event| match event.as_ref().and_then(|evidence| evidence.frame()) {
                Some(frame) => Json::Object(self.renderer.document(&self.layout, frame)),
                None => Json::Null,
            })
            .collect();
        let Some(rule) = self.rules.get(found.rule.index()) else {
            return json!({ "event": { "kind": "alert" }, "events": documents });
        };
        let mut flags = EventFlags::default();
        for frame in found.events.iter().flatten().filter_map(|evidence| evidence.frame()) {
            flags.insert(frame.flags());
        }
        let mut kestrel = Map::new();
        kestrel.insert("pack".to_owned(), self.pack.as_str().into());
        kestrel.insert("kind".to_owned(), rule.kind.into());
        kestrel.insert("join_keys".to_owned(), found.key.iter().map(|part| part.to_json()).collect());
        let doubts: Vec<Json> = [
            (EventFlags::TRUNCATED, "truncated"),
            (EventFlags::UNREADABLE, "unreadable"),
            (EventFlags::MISTYPED, "mistyped"),
        ]
        .into_iter()
        .filter(|(flag, _)| flags.contains(*flag))
        .map(|(_, name)| Json::from(name))
        .collect();
        if !doubts.is_empty() {
            kestrel.insert("doubts".to_owned(), doubts.into());
        }
        if losses > 0 {
            kestrel.insert("losses".to_owned(), json!({ "events": losses }));
        }
        if let Some(findings) = &found.findings {
            if !findings.messages.is_empty() {
                kestrel.insert("messages".to_owned(), findings.messages.clone().into());
            }
            if findings.block_requested {
                // Asked for, not done: this version carries no block out.
                kestrel.insert("block_requested".to_owned(), true.into());
            }
        }
        let mut about = Map::new();
        about.insert("id".to_owned(), rule.id.as_str().into());
        about.insert("name".to_owned(), rule.name.as_str().into());
        if let Some(severity) = &rule.severity {
            about.insert("severity".to_owned(), severity.as_str().into());
        }
        if let Some(risk_score) = rule.risk_score {
            about.insert("risk_score".to_owned(), risk_score.into());
        }
        json!({
            "@timestamp": format_rfc3339(found.last.timestamp),
            "event": { "kind": "alert", "id": alert_id(&rule.id, &documents) },
            "rule": about,
            "threat": rule.threat,
            "message": message(&rule.name, documents.iter().rev().find(|document| !document.is_null())),
            "kestrel": kestrel,
            "events": documents,
            "captures": captures(found),
        })
    }
}

/// The values that a hand-written predicate put, in its order.
fn captures(found: &Match) -> Map<String, Json> {
    let captures = found.findings.iter().flat_map(|findings| &findings.captures);
    let json = |value: &CaptureValue| match value {
        CaptureValue::Text(text) => Json::from(text.as_str()),
        CaptureValue::Integer(value) => Json::from(*value),
        CaptureValue::Float(value) => Json::from(*value),
        CaptureValue::Boolean(value) => Json::from(*value),
    };
    captures.map(|(name, value)| (name.clone(), json(value))).collect()
}

fn alert_id(rule: &str, documents: &[Json]) -> String {
    let mut hash = Sha256::new();
    hash.update(rule.as_bytes());
    for document in documents {
        hash.update([0]);
        hash.update(document.to_string().as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The rule's name and what can be said of the last event in a few words.
fn message(name: &str, document: Option<&Json>) -> String {
    let text = |pointer: &str| document.and_then(|document| document.pointer(pointer)).and_then(Json::as_str);
    let subject = text("/process/command_line")
        .filter(|command| !command.is_empty())
        .or_else(|| text("/process/executable"))
        .or_else(|| text("/process/name"));
    let object = text("/file/path").or_else(|| text("/destination/ip")).or_else(|| text("/dns/question/name"));
    match (subject, object) {
        (Some(subject), Some(object)) => format!("{name}: {subject} ({object})"),
        (Some(subject), None) => format!("{name}: {subject}"),
        (None, Some(object)) => format!("{name}: {object}"),
        (None, None) => name.to_owned(),
    }
}

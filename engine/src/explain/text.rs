//! A rule's state for people.

use std::fmt::Write;

use serde_json::Value as Json;

use super::{KeyState, RuleState};

/// The most endings of one key that are printed.
const PRINTED_ENDINGS: usize = 5;

impl RuleState {
    /// The state as lines of text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let span = self.maxspan.as_ref().map(|span| format!(" within {span}")).unwrap_or_default();
        let terms = if self.steps.len() == 1 { "step" } else { "steps" };
        line(&mut out, 0, &format!("{}: {} of {} {terms}{span}", self.rule, self.kind, self.steps.len()));
        for (number, step) in self.steps.iter().enumerate() {
            let missing = if step.missing { "must be missing: " } else { "" };
            line(&mut out, 2, &format!("step {number}  {missing}{}", step.condition));
        }
        for sentence in &self.pushdown {
            line(&mut out, 2, &format!("kernel  {sentence}"));
        }
        if self.kind == "event" {
            line(&mut out, 2, "each event is looked at alone, and nothing is remembered");
            return out;
        }
        out.push_str(&self.progress_text());
        out
    }

    /// The counters and keys alone.
    pub fn progress_text(&self) -> String {
        let mut out = String::new();
        let counters: Vec<String> =
            self.counters.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        if counters.is_empty() {
            line(&mut out, 0, "partial matches: none was begun");
        } else {
            line(&mut out, 0, &format!("partial matches: {}", counters.join(", ")));
        }
        if self.keys.is_empty() {
            line(&mut out, 0, "no key has come anywhere");
        } else {
            line(&mut out, 0, "by key, the furthest first:");
        }
        self.keys.iter().for_each(|key| self.key_text(key, &mut out));
        if self.more_keys {
            line(&mut out, 2, "… and more keys; name one to look at it");
        }
        if self.traced_endings == 0 {
            line(
                &mut out,
                0,
                "(how partial matches ended is not kept: run with `--trace-endings N`, or `traced_endings` in `[limits]`)",
            );
        }
        out
    }

    fn key_text(&self, state: &KeyState, out: &mut String) {
        let matches = match state.matches {
            Some(0) => ": no match".to_owned(),
            Some(1) => ": 1 match".to_owned(),
            Some(count) => format!(": {count} matches"),
            None => String::new(),
        };
        line(out, 2, &format!("{}{matches}", key_words(&state.key)));
        for open in &state.open {
            let until = if open.first == open.last {
                format!("at {}", open.last)
            } else {
                format!("at {}, begun at {}", open.last, open.first)
            };
            let next = match open.waits_for {
                _ if open.broken => "an event came that must be missing, so that it will not match".to_owned(),
                Some(next) => format!("waits for step {next}{}", self.deadline(state)),
                None if self.kind == "sample" => "waits for the other steps".to_owned(),
                None => "complete".to_owned(),
            };
            line(out, 4, &format!("open   came to step {} {until}; {next}", open.step));
        }
        if state.waiting > 0 {
            let noun = if state.waiting == 1 { "candidate waits" } else { "candidates wait" };
            line(
                out,
                4,
                &format!(
                    "open   {} {noun} for the time of the missing event to pass{}",
                    state.waiting,
                    self.deadline(state)
                ),
            );
        }
        let hidden = state.ended.len().saturating_sub(PRINTED_ENDINGS);
        if hidden > 0 {
            line(out, 4, &format!("ended  {hidden} earlier"));
        }
        for ended in state.ended.iter().skip(hidden) {
            line(
                out,
                4,
                &format!(
                    "ended  came to step {}, begun at {}; at {} {}",
                    ended.step, ended.first, ended.time, ended.why
                ),
            );
        }
    }

    fn deadline(&self, state: &KeyState) -> String {
        state.deadline.as_ref().map(|deadline| format!(", until {deadline}")).unwrap_or_default()
    }
}

/// The values of a key.
fn key_words(key: &[Json]) -> String {
    if key.is_empty() {
        return "(one state for all events)".to_owned();
    }
    let words: Vec<String> = key.iter().map(Json::to_string).collect();
    words.join(", ")
}

/// A line; control characters, which events may hold, are shown and not sent to the terminal.
fn line(out: &mut String, indent: usize, text: &str) {
    let _ = write!(out, "{:indent$}", "");
    for character in text.chars() {
        match character.is_control() {
            true => out.extend(character.escape_default()),
            false => out.push(character),
        }
    }
    out.push('\n');
}

/// The beginning of a text.
pub(super) fn cut(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or("")),
        None => text.to_owned(),
    }
}

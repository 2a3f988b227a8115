//! What a run tells over its control socket.

use kestrel_engine::control::{Control, ExplainRequest, Question, RunState};
use kestrel_engine::explain::RuleState;
use serde_json::{Value as Json, json};

use super::Run;

impl Run<'_> {
    /// Whether somebody can ask this run.
    pub(in crate::cli) fn is_controlled(&self) -> bool {
        self.control.is_some()
    }

    /// What somebody asked over the control socket. The source's part of the statistics is to be filled in before it is
    /// answered.
    pub(in crate::cli) fn asked(&self) -> Option<Question> {
        self.control.as_ref().and_then(Control::asked)
    }
}

impl RunState for Run<'_> {
    fn status(&self) -> Json {
        let mut stats = self.stats.clone();
        stats.elapsed = self.began.elapsed();
        stats.session = self.session.counters();
        stats.sinks = self.sinks.reports();
        stats.programs = self.session.programs();
        stats.runtime_error = self.session.runtime_error().map(str::to_owned);
        stats.recorded = self.recorder.as_ref().map(|recorder| recorder.written()).or(stats.recorded);
        let mut status = stats.json();
        let loaded = self.packs.iter().map(|named| {
            let rules: Vec<&str> = named.pack.ir().rules.iter().map(|rule| rule.id.as_str()).collect();
            json!({ "file": named.name, "content_hash": named.content_hash(), "rules": rules })
        });
        if let Some(status) = status.as_object_mut() {
            status.insert("loaded".to_owned(), loaded.collect());
            status.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        }
        status
    }

    fn explain(&self, request: &ExplainRequest) -> Result<RuleState, String> {
        let mut state = self.session.explain(&self.packs, &self.options.session.matcher, request)?;
        state.pushdown = self.stats.pushdown.get(&state.rule).cloned().unwrap_or_default();
        Ok(state)
    }

    fn refusal(&self) -> String {
        "only a live run changes its packs or the kinds of its events: this one ends as it began".to_owned()
    }
}

//! Why a rule of a session did or did not match so far.

use kestrel_core::matcher::MatcherOptions;
use kestrel_ir::model::RuleIndex;

use super::{NamedPack, Session};
use crate::control::ExplainRequest;
use crate::explain::{Remembered, RuleState, key_of};

impl Session {
    /// How far a rule came in the batches that were matched. `packs` are those of the session. Where several packs have the
    /// rule, the first is asked.
    ///
    /// # Errors
    /// When no pack has the rule, or the key is none of it.
    pub fn explain(
        &self,
        packs: &[NamedPack],
        limits: &MatcherOptions,
        request: &ExplainRequest,
    ) -> Result<RuleState, String> {
        let found = packs.iter().zip(&self.packs).find_map(|(named, running)| {
            let ir = named.pack.ir();
            let number = ir.rules.iter().position(|rule| rule.id == request.rule)?;
            Some((ir, RuleIndex(number as u32), &running.matcher))
        });
        let Some((ir, rule, matcher)) = found else {
            return Err(no_such_rule(packs, &request.rule));
        };
        let key = request.key.as_ref().map(|values| key_of(ir, rule, values)).transpose();
        let key = key.map_err(|error| error.to_string())?;
        let limit = request.limit();
        let keys = matcher.explain(rule, key.as_deref(), limit.saturating_add(1));
        let mut endings = matcher.endings(rule, usize::MAX);
        if let Some(key) = &key {
            endings.retain(|ending| ending.key == *key);
        }
        let remembered = Remembered {
            keys,
            endings,
            traced_endings: limits.traced_endings,
            counters: matcher.rule_counters(rule),
            matches: None,
        };
        Ok(RuleState::new(ir, rule, &remembered, limit))
    }
}

/// What to say when no pack has a rule: the nearest id is most likely meant.
fn no_such_rule(packs: &[NamedPack], wanted: &str) -> String {
    let ids = packs.iter().flat_map(|pack| &pack.pack.ir().rules).map(|rule| rule.id.as_str());
    let lower = wanted.to_lowercase();
    let alike = ids.filter(|id| !lower.is_empty() && id.to_lowercase().contains(&lower)).take(3);
    let alike: Vec<String> = alike.map(|id| format!("`{id}`")).collect();
    let shown: String = wanted.chars().take(100).collect();
    if packs.iter().any(|pack| pack.pack.left_out().iter().any(|id| id == wanted)) {
        return format!("rule `{shown}` is left out: it is for another operating system, see `--os`");
    }
    match alike.is_empty() {
        true => format!("no pack has a rule `{shown}`"),
        false => format!("no pack has a rule `{shown}`; there is {}", alike.join(", ")),
    }
}

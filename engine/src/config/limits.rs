//! `[limits]`: what a run may keep and how much of an input it reads at once.
//!
//! In: the table of a configuration. Out: the matcher's options, or what is wrong with a value. A limit of nothing is
//! refused: whoever wants a rule not to run switches it off.

use kestrel_core::matcher::MatcherOptions;
use serde::{Deserialize, Deserializer};

/// The least that state may be limited to, in bytes: less could not hold one event.
const MIN_STATE_BYTES: usize = 1 << 16;
/// The most endings that each part of the state keeps of a rule.
pub const MAX_TRACED_ENDINGS: u16 = 4_096;

/// `[limits]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// The longest document of an input, in bytes.
    pub max_document: Option<usize>,
    /// The most join keys with state, per rule.
    pub max_keys_per_rule: Option<usize>,
    /// The most join keys with state, over all rules of a pack.
    pub max_keys: Option<usize>,
    /// The most bytes of state of a pack: keys, partial matches, the events that they hold.
    pub max_state_bytes: Option<usize>,
    /// The most candidates of one key that wait for an event to be missing at the end of a sequence.
    pub max_waiting_per_key: Option<usize>,
    /// For how long, in nanoseconds of event time, a key of a sequence without `maxspan` or of a sample is kept when no
    /// event concerns it. Written as `24h`.
    #[serde(default, deserialize_with = "optional_duration")]
    pub max_unused: Option<i64>,
    /// The most processes that are remembered for `child of`, `descendant of` and `event of`.
    pub max_processes: Option<usize>,
    /// How many of each rule's last endings of partial matches are kept, for `ctl explain`.
    pub traced_endings: Option<usize>,
    /// After how many failures a hand-written predicate is no longer asked.
    pub program_failures: Option<u64>,
}

impl LimitsConfig {
    /// The limits of state: those that are set, the usual ones for the rest.
    ///
    /// # Errors
    /// When a limit allows nothing, or more than can be kept; the text says which.
    pub fn matcher(&self) -> Result<MatcherOptions, String> {
        let mut options = MatcherOptions::default();
        for (name, set, least, most, option) in [
            ("max_keys_per_rule", self.max_keys_per_rule, 1, usize::MAX, &mut options.max_keys_per_rule),
            ("max_keys", self.max_keys, 1, usize::MAX, &mut options.max_keys),
            ("max_state_bytes", self.max_state_bytes, MIN_STATE_BYTES, usize::MAX, &mut options.max_state_bytes),
            ("max_waiting_per_key", self.max_waiting_per_key, 1, usize::MAX, &mut options.max_waiting_per_key),
            ("max_processes", self.max_processes, 1, usize::MAX, &mut options.max_processes),
            ("traced_endings", self.traced_endings, 0, usize::from(MAX_TRACED_ENDINGS), &mut options.traced_endings),
        ] {
            let Some(value) = set else { continue };
            if value < least {
                return Err(format!("`{name}` is {value}, it must be {least} at least"));
            }
            if value > most {
                return Err(format!("`{name}` is {value}, it must be {most} at most"));
            }
            *option = value;
        }
        if let Some(unused) = self.max_unused {
            if unused <= 0 {
                return Err("`max_unused` must be longer than nothing".to_owned());
            }
            options.max_unused = Some(unused);
        }
        Ok(options)
    }
}

/// A length of time, if there is one.
fn optional_duration<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    String::deserialize(deserializer).and_then(|text| super::duration(&text)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<MatcherOptions, String> {
        toml::from_str::<LimitsConfig>(text).map_err(|error| error.to_string())?.matcher()
    }

    #[test]
    fn each_limit_reaches_the_matcher() {
        let options = limits(
            "max_keys_per_rule = 1\nmax_keys = 2\nmax_state_bytes = 65536\nmax_waiting_per_key = 4\n\
             max_unused = '24h'\nmax_processes = 5\ntraced_endings = 6\n",
        );
        let options = options.expect("good limits");
        let set = [
            options.max_keys_per_rule,
            options.max_keys,
            options.max_state_bytes,
            options.max_waiting_per_key,
            options.max_processes,
            options.traced_endings,
        ];
        assert_eq!(set, [1, 2, 65_536, 4, 5, 6]);
        assert_eq!(options.max_unused, Some(86_400_000_000_000));
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        for (text, expected) in [
            ("max_keys = 0", "`max_keys` is 0, it must be 1 at least"),
            ("max_state_bytes = 100", "`max_state_bytes` is 100, it must be 65536 at least"),
            ("traced_endings = 5000", "`traced_endings` is 5000, it must be 4096 at most"),
            ("max_unused = '0s'", "`max_unused` must be longer than nothing"),
            ("max_unused = '1 week'", "`1 week` is no length of time"),
            ("max_unused = 24", "expected a string"),
            ("max_keys = -1", "invalid value"),
        ] {
            let error = limits(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

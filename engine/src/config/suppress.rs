//! `[suppress]` and `[suppress."rule-id"]`: which alerts are counted instead of told.

use serde::{Deserialize, Deserializer, de::Error};

use super::duration;
use crate::session::suppression::{Asked, Missing, Suppression, SuppressionOptions};

/// Keys that are no rule's id.
const OWN: [&str; 5] = ["by", "for", "missing", "off", "max_groups"];

/// What a table asks for.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asking {
    #[serde(default)]
    by: Vec<String>,
    r#for: Option<String>,
    missing: Option<String>,
    #[serde(default)]
    off: bool,
    max_groups: Option<usize>,
}

impl Asking {
    fn read<E: Error>(&self) -> Result<Option<Asked>, E> {
        if self.off {
            let more = !self.by.is_empty() || self.r#for.is_some() || self.missing.is_some();
            return if more { Err(E::custom("`off` stands alone")) } else { Ok(Some(Asked::Nothing)) };
        }
        let Some(window) = &self.r#for else {
            let more = !self.by.is_empty() || self.missing.is_some();
            return if more { Err(E::custom("`for` is missing: how long alerts are suppressed")) } else { Ok(None) };
        };
        let missing = match self.missing.as_deref() {
            None | Some("suppress") => Missing::Suppress,
            Some("tell") => Missing::Tell,
            Some(other) => return Err(E::custom(format!("`missing` is `suppress` or `tell`, not `{other}`"))),
        };
        let suppression = Suppression { by: self.by.clone(), window: duration(window)?, missing };
        suppression.check().map_err(E::custom)?;
        Ok(Some(Asked::Suppression(suppression)))
    }
}

pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<SuppressionOptions, D::Error> {
    let wrong = |error: toml::de::Error| D::Error::custom(error.message());
    let mut table = toml::Table::deserialize(deserializer)?;
    let mut options = SuppressionOptions::default();
    let rules: Vec<String> = table.keys().filter(|key| !OWN.contains(&key.as_str())).cloned().collect();
    for rule in rules {
        let Some(toml::Value::Table(asked)) = table.remove(&rule) else {
            return Err(D::Error::custom(format!("unknown field `{rule}` in `[suppress]`, and no table of a rule")));
        };
        let asking: Asking = asked.try_into().map_err(wrong)?;
        if asking.max_groups.is_some() {
            return Err(D::Error::custom("`max_groups` is for all rules together"));
        }
        let asked =
            asking.read()?.ok_or_else(|| D::Error::custom(format!("`[suppress.\"{rule}\"]` asks for nothing")))?;
        options.rules.insert(rule, asked);
    }
    let asking: Asking = table.try_into().map_err(wrong)?;
    options.default = asking.read()?;
    if let Some(max_groups) = asking.max_groups {
        if max_groups == 0 {
            return Err(D::Error::custom("`max_groups` is at least 1"));
        }
        options.max_groups = max_groups;
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::session::suppression::{Asked, Missing, Suppression};

    #[test]
    fn a_default_and_rules_of_their_own() {
        let text = "[suppress]\nby = ['host.id']\nfor = '5m'\nmax_groups = 9\n[suppress.loud]\nfor = '1h'\nmissing = 'tell'\n[suppress.'a b']\noff = true\n";
        let options = Config::parse(text).expect("it is right").suppress;
        let by_host =
            Suppression { by: vec!["host.id".to_owned()], window: 300_000_000_000, missing: Missing::Suppress };
        assert_eq!(options.default, Some(Asked::Suppression(by_host)));
        assert_eq!(options.max_groups, 9);
        assert_eq!(options.rules.get("a b"), Some(&Asked::Nothing));
        let loud = Suppression { by: Vec::new(), window: 3_600_000_000_000, missing: Missing::Tell };
        assert_eq!(options.rules.get("loud"), Some(&Asked::Suppression(loud)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            ("[suppress]\nfro = '5m'", "unknown field `fro`"),
            ("[suppress]\nby = ['a']", "`for` is missing"),
            ("[suppress]\nfor = '0s'", "more than nothing"),
            ("[suppress]\nfor = 'long'", "no length of time"),
            ("[suppress.r]\nfor = '5m'\nmissing = 'x'", "`missing` is `suppress` or `tell`"),
            ("[suppress.r]\nof = true", "unknown field `of`"),
            ("[suppress.r]\noff = true\nfor = '5m'", "`off` stands alone"),
            ("[suppress.r]", "asks for nothing"),
        ] {
            let error = Config::parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}

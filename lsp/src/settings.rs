//! What the user chose: the schema and the dialect.
//!
//! In: the command line's values, or the editor's as JSON. Out: [`Settings`]. The only file that reads the disk.

use std::fs;

use eqlc::syntax::Dialect;
use kestrel_schema::Schema;
use serde_json::Value;

// A schema of every field of ECS has some 200 KB.
const LARGEST_SCHEMA: u64 = 16 << 20;

/// What rules are checked against.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Names and types.
    pub schema: Schema,
    /// The dialect of rules that do not name one; without it, each form's own.
    pub dialect: Option<Dialect>,
}

impl Settings {
    /// Reads a schema file.
    ///
    /// # Errors
    /// Why it cannot be used, for people; the schema stays as it was.
    pub fn use_schema(&mut self, path: &str) -> Result<(), String> {
        let unreadable = |error| format!("cannot read the schema `{path}`: {error}");
        if fs::metadata(path).map_err(unreadable)?.len() > LARGEST_SCHEMA {
            return Err(format!("the schema `{path}` is larger than 16 MiB"));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        self.schema = Schema::from_toml(&text).map_err(|error| format!("the schema `{path}` has mistakes: {error}"))?;
        Ok(())
    }

    /// Chooses a dialect by its name.
    ///
    /// # Errors
    /// There is no such dialect; the dialect stays as it was.
    pub fn use_dialect(&mut self, name: &str) -> Result<(), String> {
        self.dialect = Some(name.parse().map_err(|error| format!("`{name}`: {error}"))?);
        Ok(())
    }

    /// Takes over what an editor sent, `{"schema": "path", "dialect": "endpoint"}`, bare or below `eql`. What is null or
    /// empty stays as it was. Gives what was wrong with the rest.
    pub fn read(&mut self, options: &Value) -> Vec<String> {
        let options = options.get("eql").unwrap_or(options);
        let mut problems = Vec::new();
        for (name, value) in options.as_object().into_iter().flatten() {
            let result = match (name.as_str(), value) {
                ("schema" | "dialect", Value::Null) => Ok(()),
                ("schema" | "dialect", Value::String(text)) if text.is_empty() => Ok(()),
                ("schema", Value::String(path)) => self.use_schema(path),
                ("dialect", Value::String(name)) => self.use_dialect(name),
                ("schema" | "dialect", _) => Err(format!("the setting `{name}` takes a text")),
                // Editors keep settings of their own under the same heading.
                _ => Ok(()),
            };
            problems.extend(result.err());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_read_bare_or_below_eql() {
        for options in [json!({"dialect": "endpoint"}), json!({"eql": {"dialect": "endpoint", "schema": ""}})] {
            let mut settings = Settings::default();
            assert!(settings.read(&options).is_empty());
            assert_eq!(settings.dialect, Some(Dialect::Endpoint));
        }
    }

    #[test]
    fn a_wrong_setting_is_told_and_changes_nothing() {
        let mut settings = Settings { dialect: Some(Dialect::Classic), ..Settings::default() };
        let problems = settings.read(&json!({"dialect": "sql", "schema": 5, "server": {"path": "x"}}));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert_eq!(settings.dialect, Some(Dialect::Classic));
        assert!(settings.read(&json!(["hostile"])).is_empty());
        assert_eq!(settings.read(&json!({"schema": "/does/not/exist"})).len(), 1);
    }
}

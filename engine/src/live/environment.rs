//! Which environment variables exec events carry: those that rules ask for, and no others.
//!
//! A process's environment holds its secrets. Unless a rule looks at `process.env_vars`, the kernel programs do not copy it;
//! and of what they copy, only the variables that some rule names go on.

use kestrel_ir::layout::FieldId;
use kestrel_ir::model::{Atom, Ir, StringMatch, Value};

/// The field, as rules write it.
pub(super) const FIELD: &str = "process.env_vars";

/// The wanted variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Environment {
    /// None: the environment is not even copied.
    #[default]
    None,
    /// Those of these names, in whatever case.
    Named(Vec<String>),
    /// Every one, because a rule asks in a way that names none.
    All,
}

impl Environment {
    /// What these rules ask for.
    pub fn wanted_by<'p>(packs: impl IntoIterator<Item = &'p Ir>) -> Environment {
        packs.into_iter().fold(Environment::None, |wanted, ir| wanted.and(asked(ir)))
    }

    /// Both together.
    pub(super) fn and(self, other: Environment) -> Environment {
        match (self, other) {
            (Environment::All, _) | (_, Environment::All) => Environment::All,
            (Environment::None, one) | (one, Environment::None) => one,
            (Environment::Named(mut names), Environment::Named(more)) => {
                names.extend(more);
                names.sort();
                names.dedup();
                Environment::Named(names)
            }
        }
    }

    /// Whether a variable, as `NAME=value`, is wanted.
    pub(super) fn takes(&self, variable: &[u8]) -> bool {
        let name = variable.split(|&byte| byte == b'=').next().unwrap_or_default();
        match self {
            Environment::None => false,
            Environment::Named(names) => names.iter().any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name)),
            Environment::All => true,
        }
    }
}

fn asked(ir: &Ir) -> Environment {
    let Some(field) = ir.layout.lookup(FIELD) else { return Environment::None };
    let atoms = ir.atoms.iter().map(|atom| asked_by_atom(atom, field));
    let computed = ir.values.iter().any(|value| match value {
        Value::Field(used) | Value::StepField { field: used, .. } => *used == field,
        _ => false,
    });
    let computed = if computed { Environment::All } else { Environment::None };
    atoms.fold(computed, Environment::and)
}

fn asked_by_atom(atom: &Atom, field: FieldId) -> Environment {
    match atom {
        Atom::Strings { field: used, matching, strings, .. } if *used == field => {
            let names: Option<Vec<String>> = strings.iter().map(|text| name_in(text, *matching)).collect();
            names.map_or(Environment::All, Environment::Named)
        }
        Atom::Present { field: used } | Atom::StringOrder { field: used, .. } if *used == field => Environment::All,
        _ => Environment::None,
    }
}

/// The one variable that a string can match; `None` when it can match several.
fn name_in(text: &str, matching: StringMatch) -> Option<String> {
    let (name, _) = text.split_once('=')?;
    let plain = match matching {
        StringMatch::Exact => true,
        StringMatch::Wildcard => !name.contains(['*', '?']),
        StringMatch::Regex => false,
    };
    // Beyond ASCII, case is more than a letter's.
    (plain && name.is_ascii()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use kestrel_schema::FieldType;

    use super::*;

    fn ir(matching: StringMatch, strings: &[&str]) -> Ir {
        let mut ir = Ir::default();
        let field = ir.layout.intern(FIELD, FieldType::Keyword);
        let strings = strings.iter().map(|&text| text.to_owned()).collect();
        ir.atoms.push(Atom::Strings { field, matching, fold: true, strings });
        ir
    }

    #[test]
    fn rules_that_name_variables_get_those() {
        let rules = [
            ir(StringMatch::Wildcard, &["ld_preload=*", "histfile=/dev/null"]),
            ir(StringMatch::Exact, &["HISTFILE=", "PATH=/bin"]),
            Ir::default(),
        ];
        let wanted = Environment::wanted_by(&rules);
        for (variable, taken) in
            [("LD_PRELOAD=/x.so", true), ("PATH=", true), ("HISTFILE=1=2", true), ("SECRET=1", false), ("", false)]
        {
            assert_eq!(wanted.takes(variable.as_bytes()), taken, "{variable}");
        }
    }

    #[test]
    fn rules_that_name_none_get_all_and_no_rules_get_none() {
        for (matching, text) in
            [(StringMatch::Wildcard, "LD_*=*"), (StringMatch::Regex, "A=.*"), (StringMatch::Exact, "A")]
        {
            assert_eq!(Environment::wanted_by(&[ir(matching, &[text])]), Environment::All, "{text}");
        }
        assert_eq!(Environment::wanted_by(&[Ir::default()]), Environment::None);
        let mut present = Ir::default();
        let field = present.layout.intern(FIELD, FieldType::Keyword);
        assert_eq!(Environment::wanted_by([&present]), Environment::None, "evidence alone asks for nothing");
        present.atoms.push(Atom::Present { field });
        assert_eq!(Environment::wanted_by([&present]), Environment::All);
    }
}

//! The tokens that the parser reads.
//!
//! In: nothing. Out: plain data, made by the lexer, changed by the repairs, read by the grammar.

use crate::syntax::Span;

/// A token with its value.
#[derive(Debug, Clone, PartialEq)]
pub enum Token {
    /// An identifier.
    Name(String),
    /// A name in backticks, without them.
    QuotedName(String),
    /// An identifier with `~` right behind it, without the `~`.
    FoldName(String),
    /// `$name`, without the dollar sign.
    Variable(String),
    /// A keyword.
    Keyword(Keyword),
    /// `as` behind a term; elsewhere it is a name.
    As,
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A decimal, or a larger integer.
    Float(f64),
    /// A number with letters right behind it; read as a duration or reported.
    Suffixed,
    /// A duration in nanoseconds; `None` was reported. Made by the repairs.
    Duration(Option<i64>),
    /// `[0]` behind a field. Made by the repairs.
    Index(u64),
    /// A string, escapes resolved.
    String(String),
    /// A raw string.
    RawString(String),
    /// `==` and its kin, brackets and so on.
    Symbol(Symbol),
    /// An operator that EQL has not; never reaches the grammar.
    Foreign(&'static str),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is named by its text")]
        pub enum $name { $($variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// As written.
            pub fn text(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }
    };
}

words! {
    /// The keywords.
    Keyword {
        And = "and", Any = "any", By = "by", False = "false", In = "in", InFold = "in~", Join = "join", Like = "like",
        LikeFold = "like~", Maxspan = "maxspan", Not = "not", Null = "null", Of = "of", Or = "or", Regex = "regex",
        RegexFold = "regex~", Runs = "runs", Sample = "sample", Sequence = "sequence", True = "true", Until = "until",
        Where = "where", With = "with",
    }
}

words! {
    /// The punctuation and the operators.
    Symbol {
        Equal = "==", NotEqual = "!=", Less = "<", LessEqual = "<=", Greater = ">", GreaterEqual = ">=",
        Colon = ":", Assign = "=", Plus = "+", Minus = "-", Star = "*", Slash = "/", Percent = "%",
        OpenParen = "(", CloseParen = ")", OpenBracket = "[", OpenMissing = "![", CloseBracket = "]",
        Comma = ",", Dot = ".", Question = "?", Bar = "|",
    }
}

impl Keyword {
    /// The keyword that is written like this.
    pub fn of(text: &str) -> Option<Keyword> {
        Self::ALL.iter().copied().find(|keyword| keyword.text() == text)
    }
}

impl Token {
    /// Whether an operand may end here.
    pub fn ends_operand(&self) -> bool {
        match self {
            Self::Name(_) | Self::QuotedName(_) | Self::FoldName(_) | Self::Variable(_) => true,
            Self::Integer(_) | Self::Float(_) | Self::Suffixed | Self::Index(_) => true,
            Self::String(_) | Self::RawString(_) => true,
            Self::Keyword(word) => matches!(word, Keyword::True | Keyword::False | Keyword::Null),
            Self::Symbol(symbol) => matches!(symbol, Symbol::CloseParen | Symbol::CloseBracket),
            Self::As | Self::Duration(_) | Self::Foreign(_) => false,
        }
    }

    /// Whether an operand may start here.
    pub fn starts_operand(&self) -> bool {
        match self {
            Self::Symbol(symbol) => matches!(symbol, Symbol::OpenParen | Symbol::Question),
            other => other.ends_operand(),
        }
    }

    /// Whether it compares or matches.
    pub fn is_comparison(&self) -> bool {
        use Keyword::{In, InFold, Like, LikeFold, Regex, RegexFold};
        use Symbol::{Assign, Colon, Equal, Greater, GreaterEqual, Less, LessEqual, NotEqual};
        match self {
            Self::Symbol(symbol) => {
                matches!(symbol, Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual | Colon | Assign)
            }
            Self::Keyword(word) => matches!(word, In | InFold | Like | LikeFold | Regex | RegexFold),
            Self::Foreign(text) => matches!(*text, "<>" | "===" | "!==" | "=~" | "!~" | "=<" | "=>"),
            _ => false,
        }
    }

    /// Whether it is this symbol.
    pub fn is(&self, symbol: Symbol) -> bool {
        *self == Self::Symbol(symbol)
    }

    /// Whether it is this keyword.
    pub fn is_word(&self, keyword: Keyword) -> bool {
        *self == Self::Keyword(keyword)
    }
}

/// A token and where it stands; one that a repair has put in has an empty span.
#[derive(Debug, Clone, PartialEq)]
pub struct SpannedToken {
    /// Which token.
    pub token: Token,
    /// Where.
    pub span: Span,
}

impl SpannedToken {
    /// A token at a place.
    pub fn new(token: Token, span: Span) -> Self {
        Self { token, span }
    }
}

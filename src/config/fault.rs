//! What can be wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A line of the configuration file, counted from 1.
    File { name: Arc<str>, line: usize },
    /// An environment variable.
    Variable(&'static str),
    /// An argument of the command line.
    Argument(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) | Self::Argument(name) => f.write_str(name),
        }
    }
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The value has the wrong type or is out of range; this is what is allowed.
    #[error("must be {0}")]
    NotAllowed(String),
    /// A key that has no default; this is what it takes.
    #[error("missing: must be {0}")]
    Missing(String),
    #[error("unknown key{}", .nearest.as_ref().map_or_else(String::new, |key| format!("; did you mean `{key}`?")))]
    UnknownKey { nearest: Option<String> },
    /// The value does not go with that of another key.
    #[error("{0}")]
    Conflict(String),
    #[error("not valid TOML: {0}")]
    Syntax(String),
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the key, as in `server.port`; empty when it is not about one key.
    pub key: String,
    /// The value as it was given, never that of a secret; none where that would say nothing.
    pub found: Option<String>,
    pub source: Source,
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, found, source, problem } = self;
        match (key.as_str(), found) {
            ("", _) => write!(f, "{source}: {problem}"),
            (key, Some(found)) => write!(f, "{key} = {found} ({source}): {problem}"),
            (key, None) => write!(f, "{key} ({source}): {problem}"),
        }
    }
}

/// Everything that is wrong with a configuration, so that one look at it mends all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_one_line() {
        let source = Source::File { name: "config/tidegate.toml".into(), line: 3 };
        let faults = Faults(vec![
            Fault {
                key: "server.port".to_owned(),
                found: Some("99999".to_owned()),
                source: source.clone(),
                problem: Problem::NotAllowed("1 to 65535".to_owned()),
            },
            Fault {
                key: "server.prot".to_owned(),
                found: None,
                source: source.clone(),
                problem: Problem::UnknownKey { nearest: Some("port".to_owned()) },
            },
            Fault {
                key: String::new(),
                found: None,
                source,
                problem: Problem::Syntax("invalid string".to_owned()),
            },
        ]);
        assert_eq!(
            faults.to_string(),
            "server.port = 99999 (config/tidegate.toml:3): must be 1 to 65535\n\
             server.prot (config/tidegate.toml:3): unknown key; did you mean `port`?\n\
             config/tidegate.toml:3: not valid TOML: invalid string"
        );
    }
}

//! Where a configuration comes from, so that it can be read again.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::fault::{Fault, Faults, Problem, Source};
use super::{Loaded, Server, load_text, read_text};

/// Read if it is there, when no other file is asked for.
const DEFAULT_FILE: &str = "config/tidegate.toml";

/// A file and an environment.
pub struct Origin {
    path: PathBuf,
    asked_for: bool,
    environment: Vec<(String, String)>,
}

impl Origin {
    /// A `file` must exist; without one, `config/tidegate.toml` is read if it does.
    #[must_use]
    pub fn new(file: Option<&Path>, env: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            path: file.unwrap_or(Path::new(DEFAULT_FILE)).to_owned(),
            asked_for: file.is_some(),
            environment: env.into_iter().collect(),
        }
    }

    /// The text of the file, all of it at once; none where there is no file and none is asked for.
    ///
    /// # Errors
    /// The one fault that it cannot be read.
    pub fn text(&self) -> Result<Option<String>, Faults> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if !self.asked_for && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Faults(vec![self.unreadable(&error)])),
        }
    }

    /// The text of the file, for who looks now and then whether it has changed. None where there is no
    /// file, or what stands there is none that can be read twice, as a pipe cannot.
    #[must_use]
    pub fn glance(&self) -> Option<String> {
        let is_file = fs::metadata(&self.path).is_ok_and(|found| found.is_file());
        is_file.then(|| fs::read_to_string(&self.path).ok()).flatten()
    }

    /// What a text of the file and the environment make up.
    ///
    /// # Errors
    /// All faults of both at once.
    pub fn load(&self, text: Option<&str>) -> Result<Loaded, Faults> {
        let name = self.path.display().to_string();
        load_text(&name, text.unwrap_or_default(), self.environment.iter().cloned())
    }

    /// Where the gateway listens, for those who only ask it: whatever else is wrong, a key that only the
    /// gateway is given for instance, is none of theirs.
    ///
    /// # Errors
    /// What is wrong with that section, and a file that cannot be read at all.
    pub fn server(&self) -> Result<Server, Faults> {
        let text = self.text()?.unwrap_or_default();
        let name = self.path.display().to_string();
        let (config, report) = read_text(&name, &text, self.environment.iter().cloned());
        let is_its = |fault: &Fault| {
            let is_unread = matches!(fault.problem, Problem::Syntax(_) | Problem::Unreadable(_));
            is_unread || fault.key.split('.').next() == Some("server")
        };
        let faults: Vec<_> = report.faults.into_iter().filter(is_its).collect();
        if faults.is_empty() { Ok(config.server) } else { Err(Faults(faults)) }
    }

    /// The fault that there is no file.
    #[must_use]
    pub fn missing(&self) -> Faults {
        Faults(vec![self.unreadable(&io::ErrorKind::NotFound.into())])
    }

    fn unreadable(&self, error: &io::Error) -> Fault {
        let source = if self.asked_for { Source::Argument("--config") } else { Source::Default };
        unreadable(&self.path.display().to_string(), source, error)
    }
}

pub(super) fn unreadable(name: &str, source: Source, error: &io::Error) -> Fault {
    Fault {
        key: name.to_owned(),
        found: None,
        source,
        problem: Problem::Unreadable(error.to_string()),
    }
}

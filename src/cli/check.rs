//! `tidegate check`: the configuration in effect.

use super::Problem;
use super::output::{print, warn};
use crate::config::Origin;

/// Prints every setting, secrets hidden.
///
/// # Errors
/// All faults of the configuration, and where it cannot be printed.
pub fn run(origin: &Origin) -> Result<(), Problem> {
    let loaded = origin.load(origin.text()?.as_deref())?;
    for warning in &loaded.warnings {
        warn(warning);
    }
    print(&format!("{}\n", loaded.render()))
}

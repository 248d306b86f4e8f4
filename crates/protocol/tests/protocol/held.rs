//! Golden files: what goes in, and all that comes out, one file each.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_protocol::{Encoded, Failure, Request, ollama, openai};

/// Where golden files are.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Holds what was found to a golden file; `UPDATE_GOLDEN=1` writes it anew.
pub fn hold(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, golden, "{}: UPDATE_GOLDEN=1 writes it anew", path.display());
}

/// Every file of a folder, held to what `found` makes of it. There are at least so many.
pub fn hold_all(folder: &Path, least: usize, found: impl Fn(&Path, &Value) -> Value) {
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(files.len() >= least, "{} has {} files", folder.display(), files.len());
    for file in files {
        let path = file.unwrap().path();
        let golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let found = found(&path, &golden);
        hold(&path, &(serde_json::to_string_pretty(&found).unwrap() + "\n"));
    }
}

/// What each kind of upstream is sent, or why it is not asked.
pub fn targets(request: &Request) -> [Value; 2] {
    let openai = openai::encode_request(request, "upstream", true);
    let ollama = ollama::encode_request(request, "upstream");
    [told(openai), told(ollama)]
}

fn told(encoded: Result<Encoded, Failure>) -> Value {
    match encoded {
        Ok(encoded) => {
            let body: Value = serde_json::from_slice(&encoded.body).unwrap();
            json!({"body": body, "ignored": encoded.ignored})
        }
        Err(failure) => {
            let faults = failure.details.iter();
            let faults: Vec<_> =
                faults.map(|fault| format!("{}: {}", fault.field, fault.message)).collect();
            json!({"refused": faults})
        }
    }
}

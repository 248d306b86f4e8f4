//! The configuration as a whole: sources, faults, secrets, and the example file.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Config, Effective, Fault, Faults, Loaded, Problem, ProviderKind};

const EXAMPLE: &str = include_str!("../../config/tidegate.example.toml");
const CANARY: &str = "canary-canary-canary-canary-canary-canary";

fn parse(text: &str, env: &[(&str, &str)]) -> Result<Loaded, Faults> {
    Config::parse(text, env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn faults(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    parse(text, env).unwrap_err().0.iter().map(ToString::to_string).collect()
}

fn values(effective: &[Effective]) -> BTreeMap<&str, &str> {
    effective.iter().map(|setting| (setting.key.as_str(), setting.value.as_str())).collect()
}

/// The example with its optional settings switched on.
fn full_example() -> String {
    let optional = |line: &str| line.starts_with('#') && !line.starts_with("# ") && line != "#";
    let lines = EXAMPLE.lines().map(|line| if optional(line) { &line[1..] } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_fault_is_listed_at_once_with_its_line() {
    let text = "\
active_model = \"nobody\"
[server]
port = 99999
host = \"localhost\"
prot = 1
heartbeat_seconds = 0
[chat]
default_temperature = \"warm\"
[[models]]
provider = \"opnai\"
base_url = \"ftp://host\"
[models.extra]
[sever]
[log]
level = 3
[auth]
keys = [\"canary\"]
";
    assert_eq!(
        faults(text, &[("WORKERS", "many"), ("VLLM_BASE_URL", "http://host")]),
        [
            "server.host = \"localhost\" (tidegate.toml:4): \
             must be an IP address, like \"127.0.0.1\" or \"::1\"",
            "server.port = 99999 (tidegate.toml:3): must be 0 to 65535 (an integer)",
            "server.workers = \"many\" (WORKERS): must be 0 to 256 (an integer)",
            "server.heartbeat_seconds = 0 (tidegate.toml:6): must be 0.001 to 300 (seconds)",
            "server.prot (tidegate.toml:5): unknown key; did you mean `port`?",
            "models[0].name (tidegate.toml:9): \
             missing: must be 1 to 128 letters, digits and ._:/@-",
            "models[0].provider = \"opnai\" (tidegate.toml:10): \
             must be \"openai\" or \"vllm\" or \"ollama\" or \"builtin\"",
            "models[0].base_url = \"ftp://host\" (tidegate.toml:11): \
             must be an http or https URL with a host, without user, query and fragment",
            "models[0].extra (tidegate.toml:12): unknown key",
            "VLLM_MODEL (VLLM_BASE_URL): missing: must be set where VLLM_BASE_URL is",
            "chat.default_temperature = \"warm\" (tidegate.toml:8): must be 0 to 2 (a number)",
            "log.level = 3 (tidegate.toml:15): \
             must be \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\"",
            "auth.keys = array (tidegate.toml:17): must be tables: [[auth.keys]]",
            "sever (tidegate.toml:13): unknown key; did you mean `server`?",
        ]
    );
}

#[test]
fn a_syntax_error_does_not_hide_the_environments_faults() {
    let found = faults("[server]\nport = = 1\n", &[("PORT", "x")]);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("tidegate.toml:2: not valid TOML: "), "{found:?}");
    assert!(found[1].starts_with("server.port = \"x\" (PORT): must be "), "{found:?}");
}

#[test]
fn variables_go_before_the_file_and_the_file_before_defaults() {
    let text =
        "[server]\nport = 1\nworkers = 2\n[log]\nlevel = \"warn\"\n[metrics]\nenabled = true\n";
    let env = [("PORT", "5"), ("HOST", "::1"), ("LOG_LEVEL", "DEBUG"), ("ENABLE_METRICS", "0")];
    let loaded = parse(text, &env).unwrap();
    let Config { server, log, metrics, .. } = &loaded.config;
    assert_eq!((server.host.to_string().as_str(), server.port, server.workers), ("::1", 5, 2));
    assert_eq!((log.level.as_str(), metrics.enabled), ("debug", false));
    let rendered = loaded.render();
    let lines: Vec<_> = rendered.lines().map(|line| line.split_once("   # ").unwrap()).collect();
    let lines: Vec<_> =
        lines.iter().map(|(setting, source)| (setting.trim_end(), *source)).collect();
    for line in [
        ("server.port = 5", "PORT"),
        ("server.workers = 2", "tidegate.toml:3"),
        ("server.max_streams = 1000", "default"),
        ("log.level = \"debug\"", "LOG_LEVEL"),
        ("server.tls.key = (not set)", "default"),
    ] {
        assert!(lines.contains(&line), "{line:?} is not in\n{rendered}");
    }
}

#[test]
fn active_model_names_a_model() {
    let model = "[[models]]\nname = \"a\"\nprovider = \"builtin\"\n";
    let named = |name: &str| format!("active_model = \"{name}\"\n{model}");
    let loaded = parse(&named("a"), &[]).unwrap();
    assert_eq!(loaded.config.active_model.as_deref(), Some("a"));
    assert_eq!(
        faults(&named("b"), &[]),
        ["active_model = \"b\" (tidegate.toml:1): must name a configured model; there is: a"]
    );
    assert!(parse(&named("llama"), &[("OLLAMA_MODEL", "llama")]).is_ok());
}

#[test]
fn secrets_are_never_shown() {
    let text = format!(
        "[[models]]\nname = \"m\"\nprovider = \"vllm\"\napi_key = \"{CANARY}\"\n\
         [[auth.keys]]\nname = \"a\"\nkey = \"{CANARY}-a\"\n"
    );
    let auth_key = format!("{CANARY}-default");
    let env =
        [("AUTH_KEY", auth_key.as_str()), ("OPENAI_API_KEY", CANARY), ("OPENAI_MODEL", "gpt")];
    let loaded = parse(&text, &env).unwrap();
    assert!(!loaded.render().contains("canary"), "{}", loaded.render());
    assert_eq!(loaded.render().matches(" = ********").count(), 4);
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn secrets_are_not_shown_in_faults_wherever_they_are_misplaced() {
    let text = "\
[auth]
kye = \"canary\"
key = \"canary\"
keys = \"canary\"
[[models]]
name = \"a\"
provider = \"openai\"
base_url = \"https://me:canary@host\"
api_key = \"canary with spaces\"
api_key_env = \"sk-canary\"
[[models]]
name = \"b\"
provider = \"openai\"
api_key = [\"canary\"]
type = { canary = \"canary\" }
[server]
trusted_proxies = { key = \"canary\" }
tls = \"canary\"
";
    let env = [("OPENAI_API_KEY", "canary\n"), ("AUTH_KEY", "canary")];
    let faults = parse(text, &env).unwrap_err();
    assert_eq!(faults.0.len(), 10, "{faults}");
    for shown in [faults.to_string(), format!("{faults:?}")] {
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_file_that_is_asked_for_must_exist() {
    let missing = Config::load(Some(Path::new("no/such.toml")), []).unwrap_err();
    let [Fault { problem: Problem::Unreadable(_), .. }] = missing.0.as_slice() else {
        panic!("{missing}");
    };
    assert!(missing.to_string().starts_with("no/such.toml (--config): cannot be read: "));
}

#[test]
fn a_file_is_cited_by_its_path() {
    let path = std::env::temp_dir().join(format!("tidegate-{}.toml", std::process::id()));
    std::fs::write(&path, "\n[server]\nport = 1\n").unwrap();
    let loaded = Config::load(Some(&path), []);
    std::fs::remove_file(&path).unwrap();
    let loaded = loaded.unwrap();
    assert_eq!(loaded.config.server.port, 1);
    let port = loaded.effective.iter().find(|setting| setting.key == "server.port").unwrap();
    assert_eq!(port.source.to_string(), format!("{}:3", path.display()));
}

#[test]
fn the_example_shows_the_defaults() {
    let example = parse(EXAMPLE, &[]).unwrap();
    let default = parse("", &[]).unwrap();
    assert_eq!(values(&example.effective), values(&default.effective));
    assert!(example.warnings.is_empty(), "{:?}", example.warnings);
}

#[test]
fn the_example_is_right_where_it_is_commented_out() {
    let text = full_example();
    let env =
        [("UPSTREAM_API_KEY", "x"), ("UPSTREAM_API_KEY_2", "y"), ("COLLECTOR_AUTHORIZATION", "z")];
    let found = parse(&text, &env).unwrap_err().0;
    let keys: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
    // Its certificate is not there, and its keys are everybody's; all else is in order.
    let own = ["server.tls.certificate", "server.tls.key", "auth.key", "auth.keys[0].key"];
    assert_eq!(keys, own);

    let text = text.replace("config/tls/certificate.pem", "Cargo.toml");
    let text = text.replace("replace-me-with-64-", "canary-canary-canary-");
    let example = parse(&text.replace("config/tls/key.pem", "Cargo.toml"), &env).unwrap();
    let minimal = "[[models]]\nname = \"llama3.2\"\nprovider = \"ollama\"\n";
    let minimal = parse(minimal, &[]).unwrap();
    let example = values(&example.effective);
    for (key, value) in values(&minimal.effective) {
        assert!(value == "(not set)" || example[key] == value, "{key} = {value} by default");
    }
}

#[test]
fn the_example_has_every_key() {
    let text =
        "[[models]]\nname = \"a\"\nprovider = \"builtin\"\n[[auth.keys]]\nname = \"a\"\nkey = \"";
    let loaded = parse(&format!("{text}{CANARY}\"\n"), &[]).unwrap();
    let full = full_example();
    let mut section = "";
    let mut documented = Vec::new();
    for line in full.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
        } else if let Some((key, _)) = line.split_once(" = ") {
            documented.push(format!("{section}.{key}").trim_start_matches('.').to_owned());
        }
    }
    for setting in loaded.effective.iter() {
        let key = setting.key.replace("[0]", "");
        assert!(documented.contains(&key), "{key} is not in the example");
    }
}

#[test]
fn discovery_asks_where_the_variable_points() {
    let loaded = parse("", &[("OLLAMA_BASE_URL", "http://host:1/")]).unwrap();
    assert!(loaded.config.models.is_empty());
    assert_eq!(loaded.config.ollama.base_url, "http://host:1");
    let loaded = parse("", &[("OLLAMA_BASE_URL", "http://host:1"), ("OLLAMA_MODEL", "m")]).unwrap();
    assert_eq!(loaded.config.models[0].targets[0].provider, ProviderKind::Ollama);
    assert_eq!(loaded.config.models[0].targets[0].base_url, "http://host:1");
}

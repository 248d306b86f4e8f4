//! The program itself reads its configuration again: at SIGHUP, and when the file changes.

use std::path::PathBuf;

use crate::client::native;
use crate::process::{Process, write};
use crate::upstream::{Upstream, openai_answer};

/// A file of its own, gone with the test.
struct File(PathBuf);

impl File {
    fn new(toml: &str) -> Self {
        let name = format!("tidegate-reload-{}.toml", rand::random::<u64>());
        let file = Self(std::env::temp_dir().join(name));
        write(&file.0, toml);
        file
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn model(name: &str, upstream: &Upstream, reload: &str) -> String {
    let url = upstream.openai_url();
    let model = format!("name = \"{name}\"\nprovider = \"openai\"\nbase_url = \"{url}\"");
    format!("[[models]]\n{model}\n[reload]\n{reload}\n")
}

async fn answers(gateway: &Process, model: &str) -> bool {
    let mut body = native("hi");
    body["model"] = model.into();
    gateway.client.post("/api/chat", &body).await.status == 200
}

async fn metric(gateway: &Process, series: &str) -> Option<String> {
    let text = gateway.client.get("/metrics").await.text();
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.map(str::to_owned)
}

#[actix_web::test]
async fn a_signal_has_the_file_read_again_and_a_bad_one_changes_nothing() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let file = File::new(&model("one", &upstream, "watch = false"));
    let gateway = Process::start_from(&file.0, &[("LOG_LEVEL", "info")]).await;
    assert!(answers(&gateway, "one").await);

    write(&file.0, &model("two", &upstream, "watch = false"));
    gateway.signal("HUP");
    let line = gateway.logs(&["a new configuration is in force"]).await;
    assert!(line.contains("\"added\":\"two\"") && line.contains("\"removed\":\"one\""), "{line}");
    assert!(answers(&gateway, "two").await && !answers(&gateway, "one").await);

    let bad = model("three", &upstream, "watch = \"perhaps\"\nwatch_seconds = 0");
    write(&file.0, &bad.replace("provider = \"openai\"", "provider = \"opnai\""));
    gateway.signal("HUP");
    gateway.logs(&["\"faults\":3", "NOT reloaded"]).await;
    for key in ["reload.watch = ", "reload.watch_seconds = 0", "models[0].provider"] {
        gateway.logs(&["fault of the configuration", key]).await;
    }
    assert!(answers(&gateway, "two").await && !answers(&gateway, "three").await);
    for (series, value) in [
        ("ai_gateway_config_reloads_total{result=\"applied\"}", "1"),
        ("ai_gateway_config_reloads_total{result=\"refused\"}", "1"),
        ("ai_gateway_config_generation", "2"),
        ("ai_gateway_config_last_reload_successful", "0"),
    ] {
        assert_eq!(metric(&gateway, series).await.as_deref(), Some(value), "{series}");
    }

    // A file that is gone is not taken for one that says nothing.
    std::fs::rename(&file.0, file.0.with_extension("gone")).unwrap();
    gateway.signal("HUP");
    gateway.logs(&["fault of the configuration", "cannot be read"]).await;
    std::fs::rename(file.0.with_extension("gone"), &file.0).unwrap();
    write(&file.0, &model("two", &upstream, "watch = false"));
    gateway.signal("HUP");
    gateway.logs(&["the configuration is unchanged"]).await;
    let is_mended = "ai_gateway_config_last_reload_successful";
    assert_eq!(metric(&gateway, is_mended).await.as_deref(), Some("1"));
    let (code, log) = gateway.terminate().await;
    assert_eq!(code, Some(0));
    assert!(!log.join("\n").contains("panicked"));
}

#[actix_web::test]
async fn a_change_of_the_file_is_enough_and_what_needs_a_restart_is_told() {
    let upstream = Upstream::start(|_| openai_answer(&["a"])).await;
    let watch = "watch_seconds = 0.01";
    let file = File::new(&model("one", &upstream, watch));
    let gateway = Process::start_from(&file.0, &[("LOG_LEVEL", "info")]).await;
    let server = "[server]\nport = 1\nmax_streams = 5\nheartbeat_seconds = 3\n";
    write(&file.0, &(model("two", &upstream, watch) + server));
    gateway.logs(&["a new configuration is in force", "server.heartbeat_seconds"]).await;
    assert!(answers(&gateway, "two").await);
    let line = gateway.logs(&["need a restart"]).await;
    // The port is that of a variable, which goes before the file now as it did at the start.
    assert!(line.contains("server.max_streams") && !line.contains("server.port"), "{line}");

    // A bad file is refused once, not at every look, and tried again when it changes.
    write(&file.0, "[[models]]\n");
    gateway.logs(&["NOT reloaded"]).await;
    write(&file.0, &model("three", &upstream, watch));
    gateway.logs(&["\"added\":\"three\""]).await;
    assert!(answers(&gateway, "three").await);
    let refused = metric(&gateway, "ai_gateway_config_reloads_total{result=\"refused\"}").await;
    assert_eq!(refused.as_deref(), Some("1"));
    gateway.terminate().await;
}

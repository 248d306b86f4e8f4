//! How commands find their gateway: by the configuration, or at `--url` whatever that says.

use std::path::Path;

use crate::cli::{command, plain, run, told};
use crate::gateway::TestGateway;
use crate::tls::{Material, start_with};
use crate::upstream::{Upstream, openai_answer};

const COMMANDS: [&[&str]; 3] = [&["health"], &["chat", "hi"], &["top", "--once"]];

/// A configuration for who asks only.
fn write(folder: &Path, port: u16, more: &str) -> String {
    let file = folder.join("tidegate.toml");
    std::fs::write(&file, format!("[server]\nport = {port}\n{more}")).unwrap();
    file.to_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_local_gateway_is_trusted_by_the_certificate_of_the_configuration() {
    let upstream = Upstream::start(|_| openai_answer(&["ok"])).await;
    let (made, others) = (Material::make(), Material::make());
    let gateway = start_with(&made, &upstream, "", "").await;
    let port = gateway.address().port();
    let ours = write(&made.folder, port, &made.section());
    let wrong = write(&others.folder, port, &others.section());
    for arguments in COMMANDS {
        let output = run(plain(&[arguments, &["--config", &ours]].concat())).await;
        let (code, _, error) = told(&output);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{arguments:?}");
        let output = run(plain(&[arguments, &["--config", &wrong]].concat())).await;
        let (code, _, error) = told(&output);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(error.contains("server.tls.certificate"), "{error}");
        // Where another gateway is named, the public authorities are asked.
        let url = format!("https://127.0.0.1:{port}");
        let named = [arguments, &["--config", &ours, "--url", &url]].concat();
        assert_eq!(told(&run(plain(&named)).await).0, Some(1), "{arguments:?}");
    }
    gateway.inner.shutdown().await;
}

#[actix_web::test]
async fn what_only_the_gateway_needs_to_know_is_not_asked_of_commands() {
    let upstream = Upstream::start(|_| openai_answer(&["ok"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let model = "[[models]]\nname = \"test\"\nprovider = \"openai\"\n\
                 base_url = \"http://127.0.0.1:9/v1\"\napi_key_env = \"UPSTREAM_API_KEY\"\n";
    let made = Material::make();
    let file = write(&made.folder, gateway.address().port(), model);
    let health = format!("http://{}/health", gateway.address());
    for arguments in COMMANDS {
        let local = run(plain(&[arguments, &["--config", &file]].concat())).await;
        assert_eq!(told(&local).0, Some(0), "{arguments:?}: {:?}", told(&local).2);

        // Shells set it to the machine's name.
        let elsewhere = || match arguments[0] {
            "health" => plain(&["health", "--url", &health]),
            _ => command(&gateway, arguments),
        };
        let mut named = elsewhere();
        named.args(["--config", "no/such/file.toml"]).env("HOST", "mybox.local");
        let named = told(&run(named).await);
        assert_eq!(named.0, Some(0), "{arguments:?}: {}", named.2);

        let mut faulty = plain(arguments);
        faulty.env("HOST", "mybox.local");
        let (code, _, error) = told(&run(faulty).await);
        assert!(code == Some(2) && error.contains("server.host"), "{arguments:?}: {error}");
    }
    gateway.inner.shutdown().await;
}

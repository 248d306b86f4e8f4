//! How commands end where they are not let to the end of what they do.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::cli::{command, plain, run, told};
use crate::gateway::TestGateway;
use crate::upstream::{Upstream, openai_answer};

#[actix_web::test]
async fn a_reader_that_leaves_is_no_news_and_a_full_disk_is_told() {
    let upstream = Upstream::start(|_| openai_answer(&["ok"])).await;
    let gateway = TestGateway::before(&upstream).await;
    let simulate = ["simulate", "--requests", "9", "--replicas", "8"];
    for arguments in [&["check"][..], &simulate, &["top", "--once"], &["chat", "hi"]] {
        let asks = ["top", "chat"].contains(&arguments[0]);
        let asked = || if asks { command(&gateway, arguments) } else { plain(arguments) };

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut left = asked();
        left.stdout(writer);
        let (code, _, error) = told(&run(left).await);
        assert_eq!(code, Some(141), "{arguments:?}: {error}");
        // A chat tells what became of its stream.
        assert!(error.is_empty() || arguments[0] == "chat", "{arguments:?}: {error}");

        let mut full = asked();
        full.stdout(Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap()));
        let (code, _, error) = told(&run(full).await);
        assert_eq!(code, Some(1), "{arguments:?}: {error}");
        assert!(error.contains("tidegate: cannot write: "), "{arguments:?}: {error}");
        assert!(!error.contains("panicked"), "{arguments:?}: {error}");
    }
    gateway.inner.shutdown().await;
}

//! Faults before the first byte of an answer: no connection, refusals, heads that are none, and
//! bodies that are no answer.

use tidegate_protocol::ErrorKind;

use super::answer::{Provider, Script, Wire};
use super::plan::{Expect, Plan, Wait};
use super::reply::{Case, Framing, Reply, head};
use crate::upstream::{Step, refusal};

const STATUS: &str = "by status";
const BEFORE: &str = "before the head";
const HEAD: &str = "in the response head";
const BODY: &str = "in place of the answer";

/// Where a refusal leads that is no refusal. Nobody may ask there.
pub const ELSEWHERE: &str = "/elsewhere";

/// What differs is all before the answer: one script does.
fn cases() -> impl Iterator<Item = Case> {
    Case::all().filter(|case| case.script == Script::Text)
}

/// Models whose upstream is not there, by what the name has behind the provider's.
pub const UNREACHABLE: [(&str, &str); 4] = [
    ("-refused", "connection refused"),
    ("-dns", "unknown host name"),
    ("-certificate", "TLS: a certificate nobody vouches for"),
    ("-plaintext", "TLS: the upstream speaks none"),
];

pub fn unreachable(plan: &mut Plan) {
    for (model, fault) in UNREACHABLE {
        let from = plan.trials.len();
        for case in cases() {
            let expect = Expect::refused(ErrorKind::UpstreamUnreachable);
            plan.add((fault, BEFORE), case, model, Vec::new(), expect);
        }
        plan.before_model(from, model);
    }
}

/// Refusals, and whatever else is no 200.
pub fn statuses(plan: &mut Plan) {
    let kinds = [
        ("400", 400, ErrorKind::UpstreamRejected),
        ("401", 401, ErrorKind::UpstreamUnauthorized),
        ("404", 404, ErrorKind::UpstreamNotFound),
        ("418", 418, ErrorKind::UpstreamError),
        ("500", 500, ErrorKind::UpstreamError),
        ("502", 502, ErrorKind::UpstreamError),
        ("503", 503, ErrorKind::UpstreamOverloaded),
    ];
    for (fault, status, kind) in kinds {
        for case in cases() {
            for body in [r#"{"error":{"message":"says why","code":1}}"#, "<html>", ""] {
                let steps = refusal(status, "", body);
                plan.add((fault, STATUS), case, body, steps, Expect::refused(kind));
            }
        }
    }
    for status in [301, 302, 303, 307, 308] {
        for case in cases() {
            let steps = refusal(status, &format!("Location: {ELSEWHERE}\r\n"), "");
            let expect = Expect::refused(ErrorKind::UpstreamError);
            plan.add(("redirect", STATUS), case, status.to_string(), steps, expect);
        }
    }
}

/// 429 and 503 with each kind of `Retry-After`.
pub fn retry_after(plan: &mut Plan) {
    let values = [
        ("429, no Retry-After", "", Wait::Any),
        ("429, Retry-After: 1", "1", Wait::Exactly(1)),
        ("429, Retry-After: a date", "Fri, 31 Dec 2038 23:59:59 GMT", Wait::Exactly(3600)),
        ("429, Retry-After: garbage", "soon; \"really\"", Wait::Any),
        ("429, Retry-After: negative", "-5", Wait::Any),
        ("429, Retry-After: 10^9", "1000000000", Wait::Exactly(3600)),
        ("429, Retry-After: 10^30", "1000000000000000000000000000000", Wait::Exactly(3600)),
    ];
    for (fault, value, retry_after) in values {
        for case in cases() {
            let header = match value {
                "" => String::new(),
                value => format!("Retry-After: {value}\r\n"),
            };
            for (status, kind) in
                [(429, ErrorKind::UpstreamRateLimited), (503, ErrorKind::UpstreamOverloaded)]
            {
                let fault = if status == 429 { fault } else { "503 with the same" };
                let steps = refusal(status, &header, r#"{"error":{"message":"busy"}}"#);
                let expect = Expect { retry_after, ..Expect::refused(kind) };
                plan.add((fault, STATUS), case, value, steps, expect);
            }
        }
    }
}

/// Heads that are no HTTP.
pub fn garbage_heads(plan: &mut Plan) {
    let long = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "x".repeat(200_000));
    let heads = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "data: {\"choices\":[]}\n\n",
        &long,
    ];
    for case in cases() {
        for head in heads {
            let mut steps = plan.write(head.as_bytes());
            steps.push(Step::Close);
            let position: String = head.chars().take(60).collect();
            let expect = Expect::refused(ErrorKind::UpstreamProtocol);
            plan.add(("garbage", HEAD), case, position, steps, expect);
        }
    }
}

/// Heads that announce another one: the answer comes behind it, or does not.
pub fn informational(plan: &mut Plan) {
    for case in cases() {
        for status in ["100 Continue", "102 Processing", "103 Early Hints"] {
            let notice = format!("HTTP/1.1 {status}\r\nLink: </a>\r\n\r\n");
            let answer = Reply::new(case, Framing::Chunked, &case.frames()).raw;
            let steps = plan.write(&[notice.as_bytes(), &answer].concat());
            let expect = Expect::whole(&case.script.whole());
            plan.add(("1xx before the answer", HEAD), case, status, steps, expect);
            let steps = vec![Step::Raw(notice.into_bytes()), Step::Close];
            let expect = Expect::refused(ErrorKind::UpstreamError);
            plan.add(("1xx and nothing else", HEAD), case, status, steps, expect);
        }
    }
}

/// A 200, or nearly, without an answer in it.
pub fn no_answer(plan: &mut Plan) {
    for case in cases() {
        let kind = case.wire().content_type();
        let no_content = "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
        let empty_chunked = head(kind, Framing::Chunked, 0) + "0\r\n\r\n";
        let bodies = [
            ("204", no_content),
            ("empty body", head(kind, Framing::Sized, 0)),
            ("empty body", empty_chunked),
        ];
        for (fault, raw) in bodies {
            let expect = Expect::refused(ErrorKind::Truncated);
            let position = raw.clone();
            let steps = plan.write(raw.as_bytes());
            plan.add((fault, BODY), case, position, steps, expect);
        }
        let page = "<html>\n<body>data: sign in first</body>\n</html>\n";
        let page = head("text/html; charset=utf-8", Framing::Sized, page.len()) + page;
        let steps = plan.write(page.as_bytes());
        let expect = Expect::refused(ErrorKind::UpstreamProtocol);
        plan.add(("a web page", BODY), case, "", steps, expect);
    }
}

/// The right body under another type, and the answer in another shape than was asked for.
pub fn other_types(plan: &mut Plan) {
    for case in cases() {
        let body: Vec<u8> = case.frames().into_iter().flat_map(|frame| frame.bytes).collect();
        let typed =
            |kind: &str| [head(kind, Framing::Sized, body.len()).as_bytes(), &body].concat();
        let whole = Expect::whole(&case.script.whole());
        if case.wire() != Wire::Json {
            for kind in ["text/plain", "application/octet-stream"] {
                let steps = plan.write(&typed(kind));
                plan.add(("another content type", BODY), case, kind, steps, whole.clone());
            }
        }
        if case.wire() != Wire::Sse {
            continue;
        }
        let steps = plan.write(&typed("application/json"));
        let expect = Expect::refused(ErrorKind::UpstreamProtocol);
        plan.add(("a stream that is called JSON", BODY), case, "", steps, expect);
        let document = case.script.frames(Provider::OpenAi, Wire::Json).remove(0).bytes;
        let head = head("application/json", Framing::Sized, document.len());
        let steps = plan.write(&[head.as_bytes(), &document].concat());
        plan.add(("a document where a stream was asked for", BODY), case, "", steps, whole);
    }
}

/// Compressed though nobody asked: once so that the text is legible in it, once not.
pub fn gzip(plan: &mut Plan) {
    for case in cases() {
        let body: Vec<u8> = case.frames().into_iter().flat_map(|frame| frame.bytes).collect();
        let opaque: Vec<u8> = body.iter().map(|byte| byte ^ 0x5a).collect();
        for (position, inner) in [("stored", &body), ("opaque", &opaque)] {
            let length = u16::try_from(inner.len()).unwrap();
            let mut packed = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01".to_vec();
            packed.extend_from_slice(&length.to_le_bytes());
            packed.extend_from_slice(&(!length).to_le_bytes());
            packed.extend_from_slice(inner);
            packed.extend_from_slice(b"crc!size");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                case.wire().content_type(),
                packed.len()
            );
            let steps = plan.write(&[head.as_bytes(), &packed].concat());
            let expect = Expect::refused(ErrorKind::UpstreamProtocol);
            plan.add(("gzip though not asked for", BODY), case, position, steps, expect);
        }
    }
}

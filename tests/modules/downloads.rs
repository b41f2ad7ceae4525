//! `get_url` against a server of our own that answers what the test says and remembers what it was asked, through curl and through wget.

use crate::host::{Host, Shell, Step};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

const CONTENT: &str = "the content\n";
const SHA256: &str = "sha256:4d3b6de6a8a9f7b7ec2a6d0e8c6b1d1a7c3ab0c4ce1a4ebd7c9f13e9d1d2b7aa";

struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut request = String::new();
                while reader.read_line(&mut request).is_ok_and(|length| length > 2) {}
                let (status, body) = if request.contains("If-Modified-Since") && request.contains("/known") {
                    ("304 Not Modified", String::new())
                } else if request.contains("/sums") {
                    ("200 OK", format!("{}  file.bin\n", &SHA256[7..]))
                } else if request.contains("/missing") {
                    ("404 Not Found", "no".into())
                } else {
                    ("200 OK", CONTENT.into())
                };
                log.lock().expect("the log").push(request);
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = reader.get_mut().write_all(answer.as_bytes());
            }
        });
        Server { address, asked }
    }

    fn last(&self) -> String {
        self.asked.lock().expect("the log").last().cloned().unwrap_or_default()
    }
}

fn get(host: &Host, args: Json) -> Json {
    host.run(&Step { module: "get_url".into(), args, check: false })
}

fn check(shell: &Shell) {
    let server = Server::start();
    let url = |path: &str| format!("http://{}/{path}", server.address);
    let host = Host::new(shell);
    host.set_up("mkdir d");
    let first = get(&host, json!({"url": url("known/file.bin"), "dest": "[ROOT]/d", "mode": "0600", "headers": {"X-Token": "a \"b\""}}));
    assert_eq!(first["changed"], true, "{}: {first}", shell.name);
    assert_eq!((&first["dest"], &first["mode"], &first["status_code"]), (&json!("[ROOT]/d/file.bin"), &json!("0600"), &json!(200)));
    assert!(server.last().contains("X-Token: a \"b\"") && server.last().contains("User-Agent: ansible-httpget"), "{}", server.last());
    let again = get(&host, json!({"url": url("known/file.bin"), "dest": "[ROOT]/d/file.bin"}));
    assert_eq!((&again["changed"], &again["status_code"]), (&json!(false), &json!(304)), "{}: {again}", shell.name);
    let same = get(
        &host,
        json!({"url": url("other"), "dest": "[ROOT]/d/file.bin", "url_username": "u", "url_password": "p w", "force_basic_auth": true}),
    );
    assert_eq!((&same["changed"], &same["status_code"]), (&json!(false), &json!(200)), "{}: {same}", shell.name);
    assert!(server.last().contains("Authorization: Basic dTpwIHc="), "{}", server.last());
    let wrong = get(&host, json!({"url": url("file.bin"), "dest": "[ROOT]/w", "checksum": url("sums").replacen("http", "sha256:http", 1)}));
    assert_eq!(wrong["failed"], true, "{}: {wrong}", shell.name);
    assert!(wrong["msg"].as_str().is_some_and(|msg| msg.contains("did not match")), "{}: {wrong}", shell.name);
    let missing = get(&host, json!({"url": url("missing"), "dest": "[ROOT]/w"}));
    assert_eq!((&missing["failed"], &missing["status_code"]), (&json!(true), &json!(404)), "{}: {missing}", shell.name);
    let sum = "md5:2aef77b0e4df5fd8a51bdcaffb9a7d5d";
    let n_asked = server.asked.lock().expect("the log").len();
    let bad = get(&host, json!({"url": url("x"), "dest": "[ROOT]/d/file.bin", "checksum": sum}));
    assert_eq!(bad["failed"], true, "{}: {bad}", shell.name);
    assert_eq!(server.asked.lock().expect("the log").len(), n_asked + 1);
    assert_eq!(host.tree(), ["d 0755 d/".to_owned(), format!("f 0600 d/file.bin {}", json!(CONTENT))], "{}", shell.name);
}

#[test]
fn downloads_under_every_shell() {
    for shell in Shell::all() {
        if shell.has("curl") {
            check(&shell);
        }
    }
}

#[test]
fn downloads_with_wget() {
    let shells = Shell::all();
    if shells[0].has("wget") {
        check(&shells[0].without("curl"));
    }
}

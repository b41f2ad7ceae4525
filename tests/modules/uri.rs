//! `uri` against a server of our own that says back what it was sent, through curl and through wget. What it returns is what ansible-core 2.21 was seen to return.

use crate::host::{Host, Shell, Step};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

/// Answers `/STATUS/LOCATION` with that status; anything else with the request as JSON. Returns the address.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (Vec::new(), 0);
            loop {
                let mut line = String::new();
                if !reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    break;
                }
                let line = line.trim_end().to_owned();
                if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                    length = value.parse().unwrap_or(0);
                }
                head.push(line);
            }
            let mut body = vec![0; length];
            let _ = reader.read_exact(&mut body);
            let first = head.first().cloned().unwrap_or_default();
            let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
            let (status, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
            let kept = |line: &&String| ["Content-Type", "X-", "Authorization", "If-Mod"].iter().any(|name| line.starts_with(name));
            let said =
                json!({"line": first, "headers": head.iter().filter(kept).collect::<Vec<_>>(), "body": String::from_utf8_lossy(&body)});
            let answer = match status.parse::<u16>() {
                Ok(401) if head.iter().any(|line| line == "Authorization: Basic dTpwIHc=") => ("200 OK".into(), String::new()),
                Ok(401) => ("401 Unauthorized".into(), "WWW-Authenticate: Basic realm=\"r\"\r\n".into()),
                Ok(code) => (format!("{code} Said So"), if rest.is_empty() { String::new() } else { format!("Location: /{rest}\r\n") }),
                Err(_) => ("200 OK".into(), "X-Some-Thing: A\r\nX-Some-Thing: B\r\nSet-Cookie: c=1; Path=/\r\n".to_owned()),
            };
            let said = said.to_string();
            let text = format!(
                "HTTP/1.1 {}\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\nConnection: close\r\n\r\n",
                answer.0,
                answer.1,
                said.len()
            );
            let _ = reader.get_mut().write_all(text.as_bytes());
            if !first.starts_with("HEAD") {
                let _ = reader.get_mut().write_all(said.as_bytes());
            }
        }
    });
    address
}

fn check(shell: &Shell) {
    let address = serve();
    let host = Host::new(shell);
    host.set_up("mkdir d; printf 'on host' > sent");
    let ask = |path: &str, more: Json| {
        let mut args = json!({"url": format!("http://{address}/{path}")});
        args.as_object_mut().expect("a mapping").extend(more.as_object().expect("a mapping").clone());
        let mut said = host.run(&Step { module: "uri".into(), args, check: false });
        let shown = said.to_string().replace(&address, "[SERVER]");
        said = serde_json::from_str(&shown).expect("it was JSON");
        said
    };
    let at = shell.name;

    let got = ask("x?a=[b]", json!({"method": "post", "body": {"a": 1, "b": ["ü"]}, "body_format": "json", "headers": {"X-T": "q\"\\"}}));
    let sent = json!({"line": "POST /x?a=[b] HTTP/1.1", "headers": ["X-T: q\"\\", "Content-Type: application/json"], "body": r#"{"a": 1, "b": ["\u00fc"]}"#});
    assert_eq!((&got["json"]["line"], &got["json"]["body"]), (&sent["line"], &sent["body"]), "{at}: {got}");
    let mut headers: Vec<&str> = got["json"]["headers"].as_array().expect("headers").iter().filter_map(Json::as_str).collect();
    headers.sort_unstable();
    assert_eq!(headers, ["Content-Type: application/json", "X-T: q\"\\"], "{at}");
    assert_eq!(
        (&got["x_some_thing"], &got["cookies"], &got["redirected"]),
        (&json!("A, B"), &json!({"c": "1"}), &json!(false)),
        "{at}: {got}"
    );
    assert_eq!((&got["status"], &got["url"], got.get("content")), (&json!(200), &json!("http://[SERVER]/x?a=[b]"), None), "{at}: {got}");

    let moved = ask("302/301/x", json!({"return_content": true}));
    assert_eq!(
        (&moved["status"], &moved["url"], &moved["redirected"]),
        (&json!(200), &json!("http://[SERVER]/x"), &json!(true)),
        "{at}: {moved}"
    );
    assert!(moved["content"].as_str().is_some_and(|content| content.contains("GET /x")), "{at}: {moved}");
    let stays = ask("307/x", json!({"method": "POST", "body": "b"}));
    assert_eq!(stays["msg"], "Status code was 307 and not [200]: HTTP Error 307: Said So", "{at}: {stays}");
    assert_eq!(stays["location"], "http://[SERVER]/x", "{at}: {stays}");
    let kept = ask("307/x", json!({"method": "PUT", "src": "[ROOT]/sent", "remote_src": true, "follow_redirects": "all"}));
    assert_eq!((&kept["json"]["line"], &kept["json"]["body"]), (&json!("PUT /x HTTP/1.1"), &json!("on host")), "{at}: {kept}");
    let turned = ask("303/x", json!({"method": "PUT", "body": "b", "follow_redirects": "all"}));
    assert_eq!((&turned["json"]["line"], &turned["json"]["body"]), (&json!("GET /x HTTP/1.1"), &json!("")), "{at}: {turned}");

    let wanted = ask("404", json!({"status_code": [200, 404]}));
    assert_eq!((&wanted["msg"], wanted.get("failed")), (&json!("HTTP Error 404: Said So"), None), "{at}: {wanted}");
    let asked = ask("401", json!({"user": "u", "password": "p w"}));
    assert_eq!((&asked["status"], asked.get("failed")), (&json!(200), None), "{at}: {asked}");
    let refused = ask("401", json!({}));
    assert_eq!((&refused["status"], &refused["failed"]), (&json!(401), &json!(true)), "{at}: {refused}");

    let saved = ask("dir/na%20me?x=/y", json!({"dest": "[ROOT]/d", "mode": "0640"}));
    assert_eq!(
        (&saved["path"], &saved["mode"], &saved["changed"]),
        (&json!("[ROOT]/d/na me"), &json!("0640"), &json!(true)),
        "{at}: {saved}"
    );
    let form = ask("x", json!({"method": "POST", "body_format": "form-multipart", "body": {"f": {"content": "c\n", "filename": "n.csv"}}}));
    let part = "Content-Type: text/csv\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n.csv\"\r\n\r\nc\r\n\r\n--";
    assert!(form["json"]["body"].as_str().is_some_and(|body| body.contains(part)), "{at}: {form}");
    let closed = host.run(&Step { module: "uri".into(), args: json!({"url": "http://127.0.0.1:1/"}), check: false });
    let msg = "Status code was -1 and not [200]: Request failed: <urlopen error [Errno 111] Connection refused>";
    assert_eq!((&closed["status"], &closed["msg"]), (&json!(-1), &json!(msg)), "{at}: {closed}");
}

#[test]
fn asks_under_every_shell() {
    for shell in Shell::all() {
        if shell.has("curl") {
            check(&shell);
        }
    }
}

#[test]
fn asks_with_wget() {
    let shells = Shell::all();
    if shells[0].has("wget") {
        check(&shells[0].without("curl"));
    }
}

//! The request of `uri` as curl's and wget's configurations, and the input that carries it to the host.

use super::body::Body;
use crate::module::{Args, Context, Failure};

pub struct Request {
    pub url: String,
    pub method: String,
    pub body: Body,
    /// Options of curl and of wget for every request of a chain of redirections.
    curl: String,
    wget: String,
    /// Headers: those of the first request only, those that go with a body, and all others.
    headers: [Vec<String>; 3],
    /// Name and password, for the first server only.
    curl_user: String,
    wget_user: String,
}

const FIRST: usize = 0;
const OF_BODY: usize = 1;
const ALWAYS: usize = 2;

impl Request {
    pub fn of(args: &Args, context: &dyn Context) -> Result<Request, Failure> {
        let method = args.required("method")?.to_uppercase();
        if method.is_empty() || !method.chars().all(|c| c.is_ascii_uppercase()) {
            let message = "Parameter 'method' needs to be a single word in uppercase, like GET or POST.";
            return Err(Failure::argument("method", message));
        }
        let (body, mut content_type) = Body::of(args, context)?;
        let is_parts = args.str("body_format") == Some("form-multipart");
        let unredirected: Vec<String> =
            args.list("unredirected_headers").unwrap_or_default().iter().map(|name| name.to_lowercase()).collect();
        let mut headers: [Vec<String>; 3] = Default::default();
        let has = |wanted: &str| args.dict("headers").into_iter().flatten().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if has("content-type") && !is_parts {
            content_type = None;
        }
        for (name, value) in args.dict("headers").into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let lower = name.to_lowercase();
            let group = match lower.as_str() {
                "content-type" if is_parts => continue,
                _ if unredirected.contains(&lower) => FIRST,
                "content-type" | "content-length" | "transfer-encoding" => OF_BODY,
                _ => ALWAYS,
            };
            // With a semicolon curl sends a header that is empty.
            headers[group].push(if value.is_empty() { format!("{name};") } else { format!("{name}: {value}") });
        }
        if let Some(content_type) = content_type {
            headers[OF_BODY].push(format!("Content-Type: {content_type}"));
        }
        // What Ansible's own client does not send.
        for (name, value) in [("Accept", ""), ("Expect", ""), ("Accept-Encoding", "identity")] {
            if !has(name) {
                headers[ALWAYS].push(format!("{name}: {value}").trim_end().to_owned());
            }
        }
        if args.is("force") && !has("cache-control") {
            headers[ALWAYS].push("cache-control: no-cache".into());
        }
        let mut request = Request {
            url: args.required("url")?.to_owned(),
            method,
            body,
            curl: "silent\nshow-error\nspeed-limit = 1\n".into(),
            wget: "tries = 1\nmax_redirect = 0\ncontent_on_error = on\n".into(),
            headers,
            curl_user: String::new(),
            wget_user: String::new(),
        };
        request.set_options(args)?;
        Ok(request)
    }

    fn set_options(&mut self, args: &Args) -> Result<(), Failure> {
        let timeout = args.int("timeout").unwrap_or(30).to_string();
        let mut both = |of_curl: (&str, &str), of_wget: (&str, &str)| {
            self.curl += &setting(of_curl.0, of_curl.1);
            self.wget += &format!("{} = {}\n", of_wget.0, of_wget.1);
        };
        both(("connect-timeout", &timeout), ("timeout", &timeout));
        let agent = args.required("http_agent")?;
        both(("user-agent", agent), ("user_agent", agent));
        for (name, of_curl, of_wget) in
            [("client_cert", "cert", "certificate"), ("client_key", "key", "private_key"), ("ca_path", "cacert", "ca_certificate")]
        {
            if let Some(path) = args.str(name) {
                both((of_curl, path), (of_wget, path));
            }
        }
        if let Some(ciphers) = args.list("ciphers").filter(|ciphers| !ciphers.is_empty()) {
            both(("ciphers", &ciphers.join(":")), ("ciphers", &ciphers.join(":")));
        }
        self.curl += &setting("speed-time", &timeout);
        if args.is("decompress") {
            self.curl += "compressed\n";
        }
        if args.is("use_netrc") {
            self.curl += "netrc-optional\n";
        } else {
            self.wget += "netrc = off\n";
        }
        if !args.is("validate_certs") {
            self.curl += "insecure\n";
            self.wget += "check_certificate = off\n";
        }
        if !args.is("use_proxy") {
            self.curl += &setting("noproxy", "*");
            self.wget += "use_proxy = off\n";
        }
        if let Some(socket) = args.str("unix_socket") {
            self.curl += &setting("unix-socket", socket);
        }
        if let Some(user) = args.str("url_username").filter(|user| !user.is_empty()) {
            let password = args.str("url_password").unwrap_or_default();
            let is_forced = args.is("force_basic_auth");
            self.curl_user = setting("user", &format!("{user}:{password}"));
            self.curl_user += if is_forced { "basic\n" } else { "anyauth\n" };
            let at_once = if is_forced { "on" } else { "off" };
            self.wget_user = format!("user = {user}\npassword = {password}\nauth_no_challenge = {at_once}\n");
            if [user, password].concat().contains(['\n', '\r']) {
                return Err(Failure::argument("url_password", "a name or password with a line break cannot be sent"));
            }
        }
        Ok(())
    }

    /// The parts that `receive` puts into files, one after another, and the body at the end.
    pub fn input(&self) -> Result<Vec<u8>, Failure> {
        let headers = |groups: &[usize], wget: bool| -> String {
            let all = groups.iter().flat_map(|group| &self.headers[*group]);
            // wget has no `Name;`, and drops nothing of its own for `Name:`.
            all.map(|header| if wget { format!("header = {header}\n") } else { setting("header", header) }).collect()
        };
        let parts = [
            self.curl.clone(),
            self.curl_user.clone(),
            headers(&[FIRST], false),
            headers(&[OF_BODY], false),
            headers(&[ALWAYS], false),
            self.wget.clone(),
            self.wget_user.clone(),
            headers(&[FIRST], true),
            headers(&[OF_BODY], true),
            headers(&[ALWAYS], true),
            format!("{}\n", self.url),
        ];
        let has_break = |text: &String| text.contains(['\n', '\r']);
        if self.headers.iter().flatten().any(has_break) || has_break(&self.url) {
            return Err(Failure::argument("headers", "an address or header with a line break cannot be sent"));
        }
        let mut input: Vec<u8> = parts.iter().flat_map(|part| [part.as_bytes(), b"%end%\n"].concat()).collect();
        if let Body::Bytes(body) = &self.body {
            input.extend_from_slice(body);
        }
        Ok(input)
    }
}

/// A line of curl's configuration.
fn setting(name: &str, value: &str) -> String {
    format!("{name} = \"{}\"\n", value.replace('\\', "\\\\").replace('"', "\\\""))
}

//! Asking a server: over the network with the kept login, through the socket of the node that runs here, or directly in this
//! process when none runs. The three answer alike.

mod logins;
mod tls;
mod url;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tower::ServiceExt as _;

use super::{DataDir, Failure, Pin, Target, env, lang, say};
use crate::serve::Node;

pub use logins::{Login, Logins};
pub use url::{Base, encode, query};

/// For reaching a server.
const CONNECT: Duration = Duration::from_secs(15);
/// Largest JSON answer that is read.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// Where requests go.
enum Way {
    Remote { base: Base, tls: Option<tls::Tls>, token: Option<String> },
    Local(PathBuf),
    Direct(Box<(Router, Node)>),
}

/// A server that can be asked.
pub struct ApiClient {
    way: Way,
    org: Option<String>,
}

/// A data directory looks like one of ours.
fn is_data_dir(dir: &Path) -> bool {
    ["rampart.db", "rampart.lock", "rampart.sock", "keys/node.id"].iter().any(|f| dir.join(f).exists())
}

/// The data directory that is meant: the option, the environment, or `./data` when it is one.
pub fn data_dir(option: Option<&Path>) -> Option<PathBuf> {
    let named = option.map(Path::to_path_buf).or_else(|| env("RAMPART_DATA_DIR").map(PathBuf::from));
    named.or_else(|| Some(PathBuf::from("./data")).filter(|d| is_data_dir(d)))
}

impl ApiClient {
    /// As the options say: `--server`, `--data`, `./data`, or the kept login.
    ///
    /// # Errors
    /// A sentence that says what to do.
    pub async fn of(target: &Target) -> Result<Self, Failure> {
        let server = target.server();
        if server.is_none()
            && let Some(dir) = data_dir(target.data.as_deref())
        {
            return Self::at(&dir).await;
        }
        let logins = Logins::load()?;
        let login = logins.of(server.as_deref()).ok_or_else(|| match &server {
            Some(server) => Failure::denied(say("cli.not_logged_in", &[("server", server)])),
            None => Failure::usage(say("cli.no_target", &[])),
        })?;
        let ca = target.ca.clone().or_else(|| login.ca.clone());
        let pin = target.pin.or(login.pin.as_deref().and_then(|p| p.parse().ok()));
        Self::remote(&login.server, ca.as_deref(), pin, Some(login.token.clone()))
    }

    /// A server by address.
    ///
    /// # Errors
    /// The address or the certificate file cannot be used.
    pub fn remote(server: &str, ca: Option<&Path>, pin: Option<Pin>, token: Option<String>) -> Result<Self, Failure> {
        let base = Base::parse(server)?;
        let tls = if base.secure { Some(tls::Tls::new(ca, pin)?) } else { None };
        Ok(Self { way: Way::Remote { base, tls, token }, org: None })
    }

    /// As the administrator of a data directory.
    ///
    /// # Errors
    /// Somebody else's directory, or it cannot be opened.
    pub async fn at(dir: &Path) -> Result<Self, Failure> {
        if !dir.is_dir() {
            return Err(Failure::failed(say("cli.no_data_dir", &[("dir", &dir.display().to_string())])));
        }
        may_administrate(dir)?;
        let socket = dir.join("rampart.sock");
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Self { way: Way::Local(socket), org: None }),
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => Err(Failure::denied(say("cli.not_owner", &[("dir", &dir.display().to_string())]))),
            Err(_) if !is_data_dir(dir) => Err(Failure::failed(say("cli.no_data_dir", &[("dir", &dir.display().to_string())]))),
            Err(_) => {
                let opened = crate::serve::offline(dir).await?;
                Ok(Self { way: Way::Direct(Box::new(opened)), org: None })
            }
        }
    }

    /// As the administrator of the node that options name.
    ///
    /// # Errors
    /// As [`Self::at`].
    pub async fn admin(data: &DataDir) -> Result<Self, Failure> {
        Self::at(&required(data)?).await
    }

    /// Acts in an organization (name or id).
    #[must_use]
    pub fn in_org(mut self, org: Option<&str>) -> Self {
        self.org = org.map(str::to_owned);
        self
    }

    /// Finishes; what was opened directly is closed in order.
    pub async fn close(self) {
        if let Way::Direct(opened) = self.way {
            opened.1.close().await;
        }
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, None).await
    }

    /// `POST`, JSON.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// JSON whatever the status is.
    ///
    /// # Errors
    /// The server was not reached or did not answer with JSON.
    pub async fn try_json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        let body = http_body_util::Limited::new(answer.into_body(), MAX_ANSWER).collect().await.map_err(|e| self.lost(&e.to_string()))?.to_bytes();
        if body.is_empty() {
            return Ok((status, Value::Null));
        }
        let value = serde_json::from_slice(&body).map_err(|_| Failure::failed(say("cli.strange_answer", &[("status", status.as_str())])))?;
        Ok((status, value))
    }

    async fn json(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, value) = self.try_json(method, path, body).await?;
        if status.is_success() { Ok(value) } else { Err(refusal(status, &value)) }
    }

    /// An answer whose body is read piece by piece.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn stream(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Body, Failure> {
        let answer = self.send(method, path, body).await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let body = http_body_util::Limited::new(answer.into_body(), 1 << 20).collect().await.map_err(|e| self.lost(&e.to_string()))?.to_bytes();
        Err(refusal(status, &serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    fn lost(&self, detail: &str) -> Failure {
        Failure::unreachable(say("cli.unreachable", &[("server", &self.name()), ("detail", detail)]))
    }

    fn name(&self) -> String {
        match &self.way {
            Way::Remote { base, .. } => base.to_string(),
            Way::Local(socket) => socket.display().to_string(),
            Way::Direct(_) => "rampart".to_owned(),
        }
    }

    /// The organization goes with the address; a header could not carry every name. The local administrator looks everywhere
    /// unless told otherwise.
    fn with_org(&self, path: &str) -> String {
        let org = self.org.as_deref().or(if matches!(self.way, Way::Remote { .. }) { None } else { Some("ROOT") });
        match org {
            Some(org) if path.starts_with("/api/v1/") => format!("{path}{}oid={}", if path.contains('?') { '&' } else { '?' }, encode(org)),
            _ => path.to_owned(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response<Body>, Failure> {
        let host = if let Way::Remote { base, .. } = &self.way { base.authority() } else { "localhost".to_owned() };
        let prefix = if let Way::Remote { base, .. } = &self.way { base.prefix.as_str() } else { "" };
        let path = self.with_org(path);
        let mut request = Request::builder().method(method).uri(format!("{prefix}{path}")).header(header::HOST, host);
        request = request.header(header::ACCEPT_LANGUAGE, lang().tag()).header(header::USER_AGENT, concat!("rampart/", env!("CARGO_PKG_VERSION")));
        if let Way::Remote { token: Some(token), .. } = &self.way {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(value) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(value.to_string())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|e| Failure::usage(e.to_string()))?;
        match &self.way {
            Way::Direct(opened) => match opened.0.clone().oneshot(request).await {
                Ok(answer) => Ok(answer),
                Err(never) => match never {},
            },
            Way::Local(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|e| self.lost(&e.to_string()))?;
                exchange(stream, request).await.map_err(|e| self.lost(&e))
            }
            Way::Remote { base, tls, .. } => {
                let connect = timeout(CONNECT, TcpStream::connect((base.host.as_str(), base.port))).await;
                let stream = connect.map_err(|_| self.lost(&say("cli.timeout", &[])))?.map_err(|e| self.lost(&e.to_string()))?;
                let _ = stream.set_nodelay(true);
                match tls {
                    None => exchange(stream, request).await.map_err(|e| self.lost(&e)),
                    Some(tls) => {
                        let stream = timeout(CONNECT, tls.connect(&base.host, stream)).await.map_err(|_| self.lost(&say("cli.timeout", &[])))??;
                        exchange(stream, request).await.map_err(|e| self.lost(&e))
                    }
                }
            }
        }
    }
}

/// Only root and the owner of the files are the local administrator, also when no node runs.
pub fn may_administrate(dir: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(dir)?.uid();
    let me = rustix::process::geteuid().as_raw();
    if me == 0 || me == owner { Ok(()) } else { Err(Failure::denied(say("cli.not_owner", &[("dir", &dir.display().to_string())]))) }
}

/// The data directory, which the command needs.
///
/// # Errors
/// None is named and there is no `./data`.
pub fn required(data: &DataDir) -> Result<PathBuf, Failure> {
    let dir = data_dir(data.data.as_deref()).ok_or_else(|| Failure::usage(say("cli.no_data_dir", &[("dir", "./data")])))?;
    if dir.is_dir() { may_administrate(&dir).map(|()| dir) } else { Err(Failure::failed(say("cli.no_data_dir", &[("dir", &dir.display().to_string())]))) }
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Response<Body>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
    Ok(answer.map(Body::new))
}

/// The sentence of an answer that is not a success.
pub fn refusal(status: StatusCode, body: &Value) -> Failure {
    let text = refusal_text(body).unwrap_or_else(|| say("cli.strange_answer", &[("status", status.as_str())]));
    match status {
        StatusCode::UNAUTHORIZED => Failure::denied(format!("{text} {}", say("cli.login_again", &[]))),
        StatusCode::FORBIDDEN => Failure::denied(text),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Failure::unreachable(text),
        _ => Failure::failed(text),
    }
}

/// `{detail}`, `{msg}`, or `{field: [sentences]}`.
pub fn refusal_text(body: &Value) -> Option<String> {
    let sentence = ["detail", "msg"].iter().find_map(|k| body.get(*k)?.as_str());
    if let Some(sentence) = sentence {
        return Some(terminal::safe(sentence));
    }
    let fields: Vec<String> = body
        .as_object()?
        .iter()
        .filter_map(|(field, list)| {
            let said: Vec<&str> = list.as_array()?.iter().filter_map(Value::as_str).collect();
            Some(if field == "non_field_errors" { said.join(" ") } else { format!("{field}: {}", said.join(" ")) })
        })
        .collect();
    (!fields.is_empty()).then(|| terminal::safe(&fields.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_become_sentences() {
        assert_eq!(refusal_text(&json!({"code": "x", "detail": "No."})).as_deref(), Some("No."));
        assert_eq!(refusal_text(&json!({"name": ["taken", "long"]})).as_deref(), Some("name: taken long"));
        assert_eq!(refusal_text(&json!(["x"])), None);
        assert_eq!(refusal_text(&json!({"detail": "a\u{1b}[2J"})).as_deref(), Some("a\\u{1b}[2J"));
    }
}

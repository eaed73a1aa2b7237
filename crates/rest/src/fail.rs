//! Answers that are not a success. They are made without a language and translated at the edge ([`render`]).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use messages::Lang;
use model::MessagePair;
use serde_json::{Map, Value, json};
use store::StoreError;

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Field, as a path (`accounts[0].secret`).
    pub field: String,
    /// What is wrong.
    pub message: MessagePair,
}

/// What is wrong with an input, field by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn say(&mut self, field: impl Into<String>, message: MessagePair) {
        self.0.push(Problem { field: field.into(), message });
    }
    /// Whether all is well.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[derive(Debug, Clone)]
enum Body_ {
    /// `{code, detail}`
    Code(MessagePair, Map<String, Value>),
    /// `{field: […]}`
    Fields(Problems),
    /// `[{field: […]}, {}, …]` for bulk calls.
    Many(Vec<Problems>),
    /// As it is.
    Raw(Value),
}

/// An answer that is not a success.
#[derive(Debug, Clone)]
pub struct Fail {
    status: StatusCode,
    body: Body_,
}

impl Fail {
    /// A status with a sentence. The code of the answer is the last part of the sentence's code.
    pub fn new(status: StatusCode, message: MessagePair) -> Self {
        Self { status, body: Body_::Code(message, Map::new()) }
    }
    /// 400 with a sentence.
    pub fn bad(code: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, MessagePair::new(code, ""))
    }
    /// 401.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, MessagePair::new("api.not_authenticated", ""))
    }
    /// 403: visible, but not allowed.
    pub fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, MessagePair::new("api.permission_denied", ""))
    }
    /// 403 with its own reason.
    pub fn refused(code: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, MessagePair::new(code, ""))
    }
    /// 404: outside the organization, invisible, or not there.
    pub fn missing() -> Self {
        Self::new(StatusCode::NOT_FOUND, MessagePair::new("api.not_found", ""))
    }
    /// 500 whose detail only the log gets.
    pub fn internal(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        tracing::error!(%detail, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, MessagePair::new("system.unavailable", detail))
    }
    /// 400 naming fields.
    pub fn fields(problems: Problems) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: Body_::Fields(problems) }
    }
    /// 400 naming one field.
    pub fn field(field: &str, message: MessagePair) -> Self {
        let mut p = Problems::default();
        p.say(field, message);
        Self::fields(p)
    }
    /// 400 for a bulk call: one entry per item.
    pub fn many(problems: Vec<Problems>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: Body_::Many(problems) }
    }
    /// Any JSON with any status.
    pub fn raw(status: StatusCode, body: Value) -> Self {
        Self { status, body: Body_::Raw(body) }
    }
    /// Adds a value to a `{code, detail}` answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        if let Body_::Code(_, extra) = &mut self.body {
            extra.insert(name.to_owned(), value);
        }
        self
    }
    /// Another status.
    #[must_use]
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
    /// The fields that are wrong, for callers that collect.
    pub fn into_problems(self) -> Result<Problems, Self> {
        match self.body {
            Body_::Fields(p) => Ok(p),
            Body_::Code(ref message, _) if self.status.is_client_error() => {
                let mut p = Problems::default();
                p.say("", message.clone());
                Ok(p)
            }
            _ => Err(self),
        }
    }

    fn json(&self, lang: Lang) -> Value {
        match &self.body {
            Body_::Code(message, extra) => {
                let mut out = extra.clone();
                out.entry("code").or_insert_with(|| message.code.rsplit('.').next().unwrap_or_default().into());
                out.insert("detail".into(), messages::render(lang, message).into());
                Value::Object(out)
            }
            Body_::Fields(p) => fields_json(p, lang),
            Body_::Many(all) => all.iter().map(|p| fields_json(p, lang)).collect(),
            Body_::Raw(v) => v.clone(),
        }
    }
}

fn fields_json(problems: &Problems, lang: Lang) -> Value {
    let mut out = Map::new();
    for Problem { field, message } in &problems.0 {
        // the key is the field itself; where in it is part of the sentence
        let cut = field.find(['[', '.']).unwrap_or(field.len());
        let (name, inside) = field.split_at(cut);
        let name = if name.is_empty() { "non_field_errors" } else { name };
        let list = out.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            let text = messages::render(lang, message);
            list.push(if inside.is_empty() { text } else { format!("{inside}: {text}") }.into());
        }
    }
    Value::Object(out)
}

impl From<StoreError> for Fail {
    fn from(e: StoreError) -> Self {
        let cut = |s: &str| s.chars().take(200).collect::<String>();
        let conflict = |code: &'static str, what: &str| Fail::new(StatusCode::CONFLICT, MessagePair::new(code, "").with("name", cut(what)));
        match &e {
            StoreError::Duplicate { field, value, .. } => Fail::field(field, MessagePair::new("api.taken", "").with("value", cut(value))),
            StoreError::Conflict(what) => conflict("api.exists", what),
            StoreError::Stale(what) => conflict("api.stale", what),
            StoreError::InUse(what, _) => conflict("api.in_use", what),
            StoreError::Missing(_) => Fail::missing(),
            StoreError::Reference(what) => Fail::new(StatusCode::BAD_REQUEST, MessagePair::new("api.bad_reference", "").with("name", cut(what))),
            StoreError::Scope(detail) => {
                tracing::warn!(%detail, "change outside its scope");
                Fail::forbidden()
            }
            StoreError::UnknownField(field) | StoreError::BadValue(field) => Fail::field(field, MessagePair::new("api.bad_filter", "")),
            StoreError::Unavailable(_) | StoreError::Locked(_) | StoreError::Corrupt(_) => {
                Fail::internal(e.to_string()).status(StatusCode::SERVICE_UNAVAILABLE)
            }
        }
    }
}

impl From<vault::VaultError> for Fail {
    fn from(e: vault::VaultError) -> Self {
        match e {
            vault::VaultError::TooLong => Fail::bad("api.secret_too_long"),
            vault::VaultError::NoSecret | vault::VaultError::Virtual => Fail::bad("api.no_secret"),
            other => Fail::internal(other.to_string()),
        }
    }
}

impl From<authn::AuthnError> for Fail {
    fn from(e: authn::AuthnError) -> Self {
        match e {
            authn::AuthnError::Store(e) => e.into(),
            authn::AuthnError::Vault(e) => e.into(),
            authn::AuthnError::Weak(all) => {
                let mut p = Problems::default();
                all.into_iter().for_each(|v| p.say("password", v.message()));
                Fail::fields(p)
            }
            authn::AuthnError::Refused(m) => Fail::new(StatusCode::BAD_REQUEST, m),
            other => Fail::internal(other.to_string()),
        }
    }
}

impl IntoResponse for Fail {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// The language of a request.
pub fn language(headers: &axum::http::HeaderMap) -> Lang {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()).and_then(Lang::best).unwrap_or_default()
}

/// Middleware: gives a [`Fail`] its words.
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let lang = language(request.headers());
    let mut response = next.run(request).await;
    if let Some(fail) = response.extensions_mut().remove::<Arc<Fail>>() {
        let body = fail.json(lang).to_string();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *response.body_mut() = Body::from(body);
    }
    response
}

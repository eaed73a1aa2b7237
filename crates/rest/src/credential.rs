//! Credentials of a request: session cookie with CSRF value, `Authorization: Bearer`, `Authorization: Token`.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header, request::Parts};
use model::{Id, Token, TokenKind};
use policy::Identity;

use crate::{App, fail::Fail};

/// Cookie of a web session.
pub(crate) const SESSION_COOKIE: &str = "jms_sessionid";
/// Cookie that a page's script reads to send [`CSRF_HEADER`].
pub(crate) const CSRF_COOKIE: &str = "jms_csrftoken";
/// Header that must carry the CSRF value with every change made by cookie.
pub(crate) const CSRF_HEADER: &str = "x-csrftoken";

/// The value of a cookie.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    all.flat_map(|v| v.split(';')).filter_map(|c| c.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v.to_owned())
}

fn authorization(headers: &HeaderMap) -> Option<(TokenKind, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, text) = value.split_once(' ')?;
    let kind = match () {
        () if scheme.eq_ignore_ascii_case("bearer") => TokenKind::Bearer,
        () if scheme.eq_ignore_ascii_case("token") => TokenKind::Private,
        () => return None,
    };
    Some((kind, text.trim().to_owned()))
}

/// The token that a request presents, checked.
pub(crate) async fn presented(parts: &Parts, app: &App, client: IpAddr) -> Result<Option<(Identity, Token)>, Fail> {
    let client = client.to_string();
    if parts.headers.contains_key(header::AUTHORIZATION) {
        let Some((kind, text)) = authorization(&parts.headers) else { return Ok(None) };
        return Ok(app.authn().identify(kind, &text, &client).await?);
    }
    let Some(text) = cookie(&parts.headers, SESSION_COOKIE) else { return Ok(None) };
    let Some((who, token)) = app.authn().identify(TokenKind::Session, &text, &client).await? else { return Ok(None) };
    // INVARIANT: another site can make a browser send the cookie, but cannot read the value that goes into the header.
    let safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let value = parts.headers.get(CSRF_HEADER).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !safe && !authn::Authenticator::csrf_matches(&token, value) {
        return Err(Fail::refused("api.csrf_failed"));
    }
    Ok(Some((who, token)))
}

/// Who a request comes from.
pub(crate) async fn identify(parts: &mut Parts, app: &App, client: IpAddr) -> Result<Identity, Fail> {
    let (who, token) = presented(parts, app, client).await?.ok_or_else(Fail::unauthenticated)?;
    parts.extensions.insert(PresentedToken(token.id));
    Ok(who)
}

/// The token a request was authenticated with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PresentedToken(pub(crate) Id<Token>);

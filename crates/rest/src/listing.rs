//! Lists: `limit`/`offset`, `search`, `order`, filters. Everything a client sends is mapped to a closed set; filters that
//! a resource does not know are ignored (as JumpServer does), an unknown `order` is refused.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{Uri, request::Parts},
    response::{IntoResponse, Response},
};
use model::{Filter, MessagePair, Op, Order, Query};
use serde_json::{Value, json};

use crate::{App, fail::Fail};

/// Rows of a plain array.
const PLAIN: u64 = 200;
/// Most rows of a page.
const MAX_PAGE: u64 = 10_000;
/// Most parameters that are looked at.
const MAX_PARAMS: usize = 64;

/// Percent-decoding of a query component.
pub(crate) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        match b {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
                let mut ahead = bytes.clone();
                match (hex(ahead.next()), hex(ahead.next())) {
                    (Some(h), Some(l)) => {
                        out.push(u8::try_from(h * 16 + l).unwrap_or(b'?'));
                        bytes = ahead;
                    }
                    _ => out.push(b'%'),
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A value's form inside a query string.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b',' => out.push(char::from(b)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The query of a list request.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    params: Vec<(String, String)>,
    path: String,
}

impl FromRequestParts<App> for Listing {
    type Rejection = Fail;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Fail> {
        Ok(Self::of(&parts.uri))
    }
}

/// How one resource is listed: `(parameter, store field, operator)` and the fields it may be ordered by
/// (`(parameter, store field)`).
#[derive(Debug, Clone, Copy)]
pub struct Lists {
    /// Filters.
    pub filters: &'static [(&'static str, &'static str, Op)],
    /// Orders.
    pub orders: &'static [(&'static str, &'static str)],
}

impl Listing {
    fn of(uri: &Uri) -> Self {
        let params = uri.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()).take(MAX_PARAMS);
        let params = params.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (unescape(k), unescape(v))).collect();
        Self { params, path: uri.path().to_owned() }
    }
    /// A parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// Ids named by `ids=` or `id__in=`, if any.
    pub fn ids(&self) -> Option<Vec<String>> {
        let all = self.get("ids").or_else(|| self.get("id__in"))?;
        Some(all.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).take(1000).collect())
    }
    fn number(&self, name: &str) -> Result<Option<u64>, Fail> {
        let wrong = || Fail::field(name, MessagePair::new("api.not_number", ""));
        self.get(name).map(|v| v.parse::<u64>().map_err(|_| wrong())).transpose()
    }
    /// Whether the answer is a page (`limit` was given).
    fn is_paged(&self) -> bool {
        self.get("limit").is_some()
    }

    /// The query for the store.
    ///
    /// # Errors
    /// 400 for a number or an order that cannot be read.
    pub fn query(&self, lists: &Lists) -> Result<Query, Fail> {
        let limit = self.number("limit")?.unwrap_or(PLAIN).clamp(1, MAX_PAGE);
        let offset = self.number("offset")?.unwrap_or(0).min(i64::MAX as u64);
        let search: String = self.get("search").unwrap_or_default().chars().take(256).collect();
        let mut query = Query::all().search(&search).page(offset, limit);
        query.filters = lists.filters.iter().filter_map(|(param, field, op)| self.filter(param, field, *op)).collect();
        if let Some(ids) = self.ids() {
            query.filters.push(Filter::is_in("id", ids.iter().filter(|i| i.parse::<uuid::Uuid>().is_ok())));
        }
        if let Some(order) = self.get("order") {
            for word in order.split(',').filter(|w| !w.is_empty()).take(8) {
                let (name, desc) = word.strip_prefix('-').map_or((word, false), |w| (w, true));
                let field = lists.orders.iter().find(|(p, _)| *p == name).map(|(_, f)| *f);
                let field = field
                    .ok_or_else(|| Fail::field("order", MessagePair::new("api.bad_order", "").with("field", name.chars().take(64).collect::<String>())))?;
                query.order.push(Order { field: field.to_owned(), desc });
            }
        }
        Ok(query)
    }

    fn filter(&self, param: &str, field: &str, op: Op) -> Option<Filter> {
        let value = self.get(param)?;
        let value: String = value.chars().take(512).collect();
        let values = match op {
            Op::In => value.split(',').map(|v| v.trim().to_owned()).take(1000).collect(),
            Op::Ge | Op::Lt => vec![crate::input::read_time(&value).map_or(value, |t| t.to_rfc3339())],
            _ => vec![match value.as_str() {
                "True" | "1" if field.starts_with("is_") || field.starts_with("has_") => "true".to_owned(),
                "False" | "0" if field.starts_with("is_") || field.starts_with("has_") => "false".to_owned(),
                _ => value,
            }],
        };
        Some(Filter { field: field.to_owned(), op, values })
    }

    /// The answer: a page, or a plain array when no `limit` was given.
    pub fn answer(&self, query: &Query, count: u64, rows: Vec<Value>) -> Response {
        if !self.is_paged() {
            return Json(rows).into_response();
        }
        let link = |offset: u64| {
            let others = self.params.iter().filter(|(k, _)| k != "offset" && k != "limit").map(|(k, v)| format!("&{}={}", escape(k), escape(v)));
            format!("{}?limit={}&offset={offset}{}", self.path, query.limit, others.collect::<String>())
        };
        let next = query.offset.saturating_add(query.limit);
        Json(json!({
            "count": count,
            "next": (next < count).then(|| link(next)),
            "previous": (query.offset > 0).then(|| link(query.offset.saturating_sub(query.limit))),
            "results": rows,
        }))
        .into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: Lists = Lists { filters: &[("name", "name", Op::Eq), ("is_active", "is_active", Op::Eq)], orders: &[("name", "name")] };

    fn listing(query: &str) -> Listing {
        Listing::of(&format!("/x/?{query}").parse().unwrap())
    }

    #[test]
    fn filters_are_a_closed_set_and_unknown_ones_are_ignored() {
        let q = listing("name=a%20b&password=x&is_active=True&search=%E7%BD%91").query(&LISTS).unwrap();
        assert_eq!(q.filters, [Filter::eq("name", "a b"), Filter::eq("is_active", "true")]);
        assert_eq!(q.search.as_deref(), Some("网"));
        assert_eq!(q.limit, PLAIN);
    }

    #[test]
    fn an_unknown_order_is_refused() {
        assert!(listing("order=-name").query(&LISTS).is_ok());
        assert!(listing("order=password_hash").query(&LISTS).is_err());
        assert!(listing("limit=x").query(&LISTS).is_err());
    }

    #[test]
    fn decoding_never_fails() {
        assert_eq!(unescape("%zz%4"), "%zz%4");
        assert_eq!(unescape("a+b%2F"), "a b/");
    }
}

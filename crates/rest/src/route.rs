//! Registration: the one place where a route meets its handler, its permission and its description.
//!
//! INVARIANT: a handler is either [`Guarded`] or registered with [`Api::public`]; there is no third way.

use std::borrow::Cow;

use api::{
    Field,
    schema::{Side, object_schema},
};
use axum::{
    Router,
    handler::Handler,
    routing::{MethodFilter, on},
};
use policy::Action;
use serde_json::{Map, Value, json};

use crate::{App, guard::Guarded, listing::Lists};

/// What a route does, for the OpenAPI document.
#[derive(Debug, Clone, Default)]
pub(crate) struct Op {
    summary: String,
    body: Option<Value>,
    response: Option<Value>,
    lists: Option<Lists>,
    status: Option<u16>,
    content: Option<&'static str>,
}

/// Begins a description.
pub(crate) fn op(summary: impl Into<String>) -> Op {
    Op { summary: summary.into(), ..Op::default() }
}

impl Op {
    /// Takes an object with these fields (or an array of them).
    pub(crate) fn body(mut self, fields: &[Field]) -> Self {
        self.body = Some(object_schema(fields, Side::Create));
        self
    }
    /// Takes some of these fields.
    pub(crate) fn partial(mut self, fields: &[Field]) -> Self {
        self.body = Some(object_schema(fields, Side::Change));
        self
    }
    /// Takes an array of objects with ids.
    pub(crate) fn body_list(mut self, fields: &[Field]) -> Self {
        self.body = Some(json!({"type": "array", "items": object_schema(fields, Side::Change)}));
        self
    }
    /// Takes JSON of this schema.
    pub(crate) fn takes(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }
    /// Answers with one object.
    pub(crate) fn shows(mut self, fields: &[Field]) -> Self {
        self.response = Some(object_schema(fields, Side::Shown));
        self
    }
    /// Answers with an array.
    pub(crate) fn lists(mut self, fields: &[Field]) -> Self {
        self.response = Some(json!({"type": "array", "items": object_schema(fields, Side::Shown)}));
        self
    }
    /// Answers with a page, or a plain array.
    pub(crate) fn pages(mut self, fields: &[Field], lists: Option<Lists>) -> Self {
        let items = object_schema(fields, Side::Shown);
        let nullable = json!({"type": ["string", "null"]});
        self.response = Some(json!({"oneOf": [
            {"type": "object", "required": ["count", "next", "previous", "results"], "properties": {
                "count": {"type": "integer"}, "next": nullable, "previous": nullable, "results": {"type": "array", "items": items}}},
            {"type": "array", "items": items},
        ]}));
        self.lists = lists.or(Some(Lists { filters: &[], orders: &[] }));
        self
    }
    /// Answers with JSON of this schema.
    pub(crate) fn answers(mut self, schema: Value) -> Self {
        self.response = Some(schema);
        self
    }
    /// Answers with another content type.
    pub(crate) fn content(mut self, content: &'static str) -> Self {
        self.content = Some(content);
        self
    }
    /// The status of success, if it is not 200.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

/// One registered route.
#[derive(Debug, Clone)]
pub struct Registered {
    /// `get`, `post`, …
    pub method: &'static str,
    /// Path with `{…}` parameters.
    pub path: String,
    /// Permission code; `None` for public routes.
    pub permission: Option<Cow<'static, str>>,
    /// Everybody may do it to his own things.
    pub own: bool,
    /// It changes something.
    pub mutates: bool,
    op: Op,
}

/// The router under construction, with its register.
pub(crate) struct Api {
    router: Router<App>,
    register: Vec<Registered>,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self { router: Router::new(), register: Vec::new() }
    }

    /// Registers a guarded route.
    fn guarded<H, T>(mut self, method: (&'static str, MethodFilter), path: &str, handler: H, op: Op) -> Self
    where
        H: Handler<T, App>,
        T: Guarded + 'static,
    {
        let permission = Some(<T::Action as Action>::permission());
        self.register.push(Registered {
            method: method.0,
            path: path.to_owned(),
            permission,
            own: <T::Action as Action>::OWN,
            mutates: <T::Action as Action>::MUTATES,
            op,
        });
        self.router = self.router.route(path, on(method.1, handler));
        self
    }

    /// Registers a route that anybody may call. Such routes are listed in `public_routes.txt`.
    pub(crate) fn public<H, T>(mut self, method: (&'static str, MethodFilter), path: &str, handler: H, op: Op) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.register.push(Registered { method: method.0, path: path.to_owned(), permission: None, own: false, mutates: false, op });
        self.router = self.router.route(path, on(method.1, handler));
        self
    }

    /// The router and what was registered.
    pub(crate) fn finish(self) -> (Router<App>, Vec<Registered>) {
        (self.router, self.register)
    }
}

/// `GET`, for [`Api::public`].
pub(crate) const GET: (&str, MethodFilter) = ("get", MethodFilter::GET);
/// `POST`, for [`Api::public`].
pub(crate) const POST: (&str, MethodFilter) = ("post", MethodFilter::POST);

macro_rules! verbs {
    ($($verb:ident $filter:ident),*) => { impl Api { $(
        #[doc = concat!("Registers a guarded `", stringify!($filter), "`.")]
        pub(crate) fn $verb<H, T>(self, path: &str, handler: H, op: Op) -> Self where H: Handler<T, App>, T: Guarded + 'static {
            self.guarded((stringify!($verb), MethodFilter::$filter), path, handler, op)
        }
    )* } };
}
verbs!(get GET, post POST, put PUT, patch PATCH, delete DELETE);

/// Registers a guarded `GET` on a router of its own: what the proofs in `tests/` are compiled against.
pub fn guarded_get<H, T>(handler: H) -> Router<App>
where
    H: Handler<T, App>,
    T: Guarded + 'static,
{
    Api::new().get("/", handler, op("")).finish().0
}

/// The OpenAPI document of a register.
pub(crate) fn document(register: &[Registered]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for r in register {
        let entry = paths.entry(r.path.clone()).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(r.method.to_owned(), operation(r));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Rampart", "version": env!("CARGO_PKG_VERSION"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": crate::credential::SESSION_COOKIE, "description": "with the X-CSRFToken header on changes"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "`Token <private token>`"},
            },
            "schemas": {
                "Error": {"type": "object", "properties": {"code": {"type": "string"}, "detail": {"type": "string"}}},
                "FieldErrors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
            },
        },
    })
}

/// Sets a member of a JSON object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(o) = object.as_object_mut() {
        o.insert(name.to_owned(), value);
    }
}

fn operation(r: &Registered) -> Value {
    let error = |text: &str| json!({"description": text, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    let status = r.op.status.unwrap_or(200).to_string();
    let mut success = json!({"description": "success"});
    let content = r.op.content.unwrap_or("application/json");
    if let Some(schema) = &r.op.response {
        set(&mut success, "content", json!({content: {"schema": schema}}));
    } else if r.op.content.is_some() {
        set(&mut success, "content", json!({content: {}}));
    }
    let mut responses = json!({status: success});
    if r.op.body.is_some() {
        set(
            &mut responses,
            "400",
            json!({"description": "fields that are wrong", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FieldErrors"}}}}),
        );
    }
    let mut out = json!({"summary": r.op.summary, "tags": [tag(&r.path)], "operationId": operation_id(r), "parameters": parameters(r)});
    match &r.permission {
        Some(permission) => {
            set(&mut out, "x-permission", json!(permission));
            set(&mut out, "x-own", json!(r.own));
            set(&mut out, "security", json!([{"session": []}, {"bearer": []}, {"token": []}]));
            set(&mut responses, "401", error("not authenticated"));
            if !r.own {
                set(&mut responses, "403", error("visible, but not allowed"));
            }
            set(&mut responses, "404", error("not there, or not for you to see"));
        }
        None => set(&mut out, "security", json!([])),
    }
    if let Some(body) = &r.op.body {
        set(&mut out, "requestBody", json!({"required": true, "content": {"application/json": {"schema": body}}}));
    }
    set(&mut out, "responses", responses);
    out
}

fn tag(path: &str) -> &str {
    path.trim_start_matches("/api/v1/").split('/').find(|p| !p.is_empty()).unwrap_or("node")
}

fn operation_id(r: &Registered) -> String {
    let words = r.path.trim_start_matches("/api/v1/").replace(['{', '}'], "");
    let words: Vec<&str> = words.split(['/', '-', '.']).filter(|w| !w.is_empty()).collect();
    format!("{}_{}", r.method, words.join("_"))
}

fn parameters(r: &Registered) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for name in r.path.split('/').filter_map(|p| p.strip_prefix('{')).filter_map(|p| p.strip_suffix('}')) {
        out.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "description": "id or name"}));
    }
    if let Some(lists) = &r.op.lists {
        let query = |name: &str, schema: Value| json!({"name": name, "in": "query", "schema": schema});
        out.push(query("limit", json!({"type": "integer", "minimum": 1, "maximum": 10000})));
        out.push(query("offset", json!({"type": "integer", "minimum": 0})));
        out.push(query("search", json!({"type": "string"})));
        out.push(query("ids", json!({"type": "string"})));
        let orders: Vec<Value> = lists.orders.iter().flat_map(|(o, _)| [json!(o), json!(format!("-{o}"))]).collect();
        if !orders.is_empty() {
            out.push(query("order", json!({"type": "string", "enum": orders})));
        }
        let mut names: Vec<&str> = lists.filters.iter().map(|(n, ..)| *n).collect();
        names.dedup();
        out.extend(names.into_iter().filter(|n| *n != "ids").map(|n| query(n, json!({"type": "string"}))));
    }
    if r.permission.is_some() {
        out.push(json!({"name": "X-JMS-ORG", "in": "header", "schema": {"type": "string"}, "description": "organization: id, name, DEFAULT, ROOT or SYSTEM"}));
    }
    Value::Array(out)
}

async fn h(_m: axum::http::Method, _c: rest::Can<policy::action::Myself>) -> &'static str { "x" }
fn main() { let _ = rest::guarded_get(h); }

use policy::{Granted, Identity, OrgScope, action::Myself};
fn f(who: Identity, scope: OrgScope) -> Granted<Myself> { Granted { who, scope, on: (), actions: model::Actions::ALL, expires: None, decision: uuid::Uuid::nil(), why: None, live: None } }
fn main() { let _ = f; }

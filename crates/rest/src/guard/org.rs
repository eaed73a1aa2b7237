//! Which organization a request acts in.

use axum::http::request::Parts;
use model::{Filter, Id, Org, Query};
use policy::{Identity, Memberships};

use super::Place;
use crate::{App, fail::Fail};

/// Names the organization: a UUID, a name, or DEFAULT / ROOT / GLOBAL / SYSTEM.
const ORG_HEADER: &str = "x-jms-org";

fn asked(parts: &Parts) -> Option<String> {
    let query = parts.uri.query().unwrap_or_default();
    let oid = query.split('&').find_map(|p| p.strip_prefix("oid=")).map(crate::listing::unescape);
    let header = || parts.headers.get(ORG_HEADER).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let cookie = || crate::credential::cookie(&parts.headers, "X-JMS-ORG");
    oid.or_else(header).or_else(cookie).map(|s| s.trim().to_owned()).filter(|s| !s.is_empty())
}

/// Enters the organization that the request names (`true`), or a sensible one. One that the person may not enter is
/// "not found".
pub(super) async fn enter(parts: &Parts, app: &App, who: &Identity, roles: &Memberships) -> Result<(Place, bool), Fail> {
    match asked(parts) {
        Some(word) => Ok((named(&word, app, who, roles).await?, true)),
        None => Ok((usual(app, who, roles), false)),
    }
}

async fn named(word: &str, app: &App, who: &Identity, roles: &Memberships) -> Result<Place, Fail> {
    let one = |org| app.decider().enter(who, roles, org).map(Place::One).ok_or_else(Fail::missing);
    let every = || app.decider().enter_every(who, roles).map(Place::Every).ok_or_else(Fail::missing);
    let reader = app.store().read(app.authority().every_org());
    match word.to_ascii_uppercase().as_str() {
        "DEFAULT" => one(Org::DEFAULT),
        "SYSTEM" => one(Org::SYSTEM),
        "ROOT" | "GLOBAL" => every(),
        _ => match word.parse::<Id<Org>>() {
            Ok(id) if id == Org::GLOBAL => every(),
            Ok(id) => one(reader.get::<Org>(id).await?.ok_or_else(Fail::missing)?.id),
            Err(_) => one(reader.find::<Org>(Query::filter(Filter::eq("name", word))).await?.ok_or_else(Fail::missing)?.id),
        },
    }
}

/// DEFAULT if the person may enter it, else the first organization joined. Somebody without any still has his own
/// profile: he acts in the scope of GLOBAL, which owns no row.
fn usual(app: &App, who: &Identity, roles: &Memberships) -> Place {
    let mut joined: Vec<Id<Org>> = roles.joined().collect();
    joined.sort();
    let scope = std::iter::once(Org::DEFAULT).chain(joined).find_map(|org| app.decider().enter(who, roles, org));
    Place::One(scope.unwrap_or_else(|| app.authority().org(Org::GLOBAL)))
}

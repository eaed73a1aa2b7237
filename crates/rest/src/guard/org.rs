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

/// Enters the organization that the request names, or a sensible one. One that the person may not enter is "not found".
pub(super) async fn enter(parts: &Parts, app: &App, who: &Identity, roles: &Memberships) -> Result<Place, Fail> {
    let one = |org| app.decider().enter(who, roles, org).map(Place::One).ok_or_else(Fail::missing);
    let Some(word) = asked(parts) else { return enter_default(app, who, roles) };
    match word.to_ascii_uppercase().as_str() {
        "DEFAULT" => one(Org::DEFAULT),
        "SYSTEM" => one(Org::SYSTEM),
        "ROOT" | "GLOBAL" => app.decider().enter_every(who, roles).map(Place::Every).ok_or_else(Fail::missing),
        _ => match word.parse::<Id<Org>>() {
            Ok(id) if id == Org::GLOBAL => app.decider().enter_every(who, roles).map(Place::Every).ok_or_else(Fail::missing),
            Ok(id) => {
                let every = app.authority().every_org();
                app.store().read(every).get::<Org>(id).await?.ok_or_else(Fail::missing)?;
                one(id)
            }
            Err(_) => {
                let every = app.authority().every_org();
                let found = app.store().read(every).find::<Org>(Query::filter(Filter::eq("name", &word))).await?;
                one(found.ok_or_else(Fail::missing)?.id)
            }
        },
    }
}

/// DEFAULT if the person may enter it, else the first organization joined. Somebody without any organization still has
/// his own profile: he gets the scope of DEFAULT only for that, through actions on his own things.
fn enter_default(app: &App, who: &Identity, roles: &Memberships) -> Result<Place, Fail> {
    let mut joined: Vec<Id<Org>> = roles.joined().collect();
    joined.sort();
    let scope = std::iter::once(Org::DEFAULT).chain(joined).find_map(|org| app.decider().enter(who, roles, org));
    scope.map(Place::One).ok_or_else(Fail::missing)
}

//! What a database holds from its first start on.

use model::{Id, Meta, Org, Role, RoleBinding, Time, User, builtin_platforms, builtin_roles};
use store::Result;

use crate::{
    db::{Dialect, Link, args},
    rows::Table,
    write::{insert_row, make_root},
};

/// Makes what is missing and refreshes what is code: built-in roles and platforms. One transaction.
pub(crate) async fn bootstrap(link: &mut Link, now: Time) -> Result<()> {
    link.batch(if link.dialect() == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }).await?;
    let done = fill(link, now).await;
    link.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

async fn fill(link: &mut Link, now: Time) -> Result<()> {
    // nodes that start together follow one another from here
    link.exec("UPDATE counters SET value = value WHERE name = 'revision'", Vec::new()).await?;
    for role in builtin_roles(now) {
        refresh(link, role).await?;
    }
    for platform in builtin_platforms(now) {
        refresh(link, platform).await?;
    }
    for mut org in Org::builtins(now) {
        if !there(link, &org).await? {
            org.meta.revision = 1;
            insert_row(link, &org).await?;
            make_root(link, &org).await?;
        }
    }
    if link.number("SELECT count(*) FROM users", Vec::new()).await? == 0 {
        administrator(link, now).await?;
    }
    Ok(())
}

async fn there<T: Table>(link: &mut Link, e: &T) -> Result<bool> {
    Ok(link.number(&format!("SELECT count(*) FROM {} WHERE id = ?", T::NAME), args![e.id()]).await? > 0)
}

/// Inserts a built-in object, or makes the stored one say what the code says.
async fn refresh<T: Table>(link: &mut Link, mut e: T) -> Result<()> {
    if !there(link, &e).await? {
        e.meta_mut().revision = 1;
        return insert_row(link, &e).await;
    }
    let pairs: Vec<_> = T::COLUMNS.iter().zip(e.values()).filter(|(c, _)| **c != "id" && **c != "builtin").collect();
    let differs = pairs.iter().map(|(c, _)| format!("{c} <> ?")).collect::<Vec<_>>().join(" OR ");
    let set = pairs.iter().map(|(c, _)| format!("{c} = ?")).collect::<Vec<_>>().join(", ");
    let values: Vec<_> = pairs.into_iter().map(|(_, v)| v).collect();
    let mut args = values.clone();
    args.extend(args![e.meta().date_updated, e.id()]);
    args.extend(values);
    link.exec(&format!("UPDATE {} SET {set}, date_updated = ?, revision = revision + 1 WHERE id = ? AND ({differs})", T::NAME), args).await.map(drop)
}

/// The first administrator: every right, no password.
async fn administrator(link: &mut Link, now: Time) -> Result<()> {
    let mut meta = Meta::new("System", now);
    meta.revision = 1;
    let user = User {
        id: User::ADMIN,
        username: "admin".into(),
        name: "Administrator".into(),
        email: String::new(),
        phone: String::new(),
        source: model::UserSource::Local,
        is_active: true,
        date_expired: None,
        mfa_level: model::MfaLevel::Off,
        need_update_password: false,
        is_service_account: false,
        lang: String::new(),
        last_login: None,
        comment: String::new(),
        meta: meta.clone(),
    };
    insert_row(link, &user).await?;
    link.insert_many("user_secrets", "user_id,password_history,otp_last_step", vec![args![user.id, "[]", 0_i64]]).await?;
    for (role, organization) in [(Role::SYSTEM_ADMIN, None), (Role::ORG_ADMIN, Some(Org::DEFAULT))] {
        insert_row(link, &RoleBinding { id: Id::generate(), user: user.id, role, organization, meta: meta.clone() }).await?;
    }
    Ok(())
}

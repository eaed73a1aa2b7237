//! Bookkeeping writes that stand alone.

use model::{Checkpoint, Id, PublicKey, Sealed, Time, Token, User, UserSecrets};
use serde_json::Value;
use store::{AttemptKey, KeyMaterial, Result, StoreError};
use uuid::Uuid;

use crate::{
    db::{Link, args, json, word},
    read,
};

/// One of them.
#[derive(Clone)]
pub(crate) enum Small {
    /// Replaces what verifies a person.
    UserSecrets(Id<User>, Box<UserSecrets>),
    /// Uses a TOTP step up; answers whether it was free.
    OtpStep(Id<User>, i64),
    /// Replaces a sealed TOTP seed if it still is the first; answers whether it was.
    ResealOtp(Id<User>, Sealed, Sealed),
    /// Notes a login.
    Login(Id<User>, Option<Id<PublicKey>>, Time),
    /// Keeps a token.
    PutToken(Box<Token>),
    /// Removes a token.
    DeleteToken(Id<Token>),
    /// Removes all tokens of a person.
    DeleteTokensOf(Id<User>),
    /// Counts a failed attempt; answers how many there are.
    Failure(AttemptKey, Time, i64),
    /// Forgets failed attempts; answers how many there were.
    Clear(AttemptKey),
    /// Keeps a checkpoint.
    Checkpoint(Box<Checkpoint>),
    /// Keeps a data key.
    Key(Box<KeyMaterial>),
    /// Keeps a setting.
    Setting(String, Value),
    /// Ends the writer; never applied.
    Close,
}

/// Most failures that are remembered of one key; an attacker cannot fill the disk with them.
const REMEMBERED: i64 = 1000;

pub(super) async fn apply(link: &mut Link, small: Small) -> Result<u32> {
    match small {
        Small::UserSecrets(user, secrets) => user_secrets(link, user, &secrets).await.map(|()| 0),
        Small::OtpStep(user, step) => {
            let sql = "UPDATE user_secrets SET otp_last_step = ? WHERE user_id = ? AND otp_last_step < ?";
            Ok(u32::from(link.exec(sql, args![step, user, step]).await? > 0))
        }
        Small::ResealOtp(user, old, new) => {
            let sql = "UPDATE user_secrets SET otp = ? WHERE user_id = ? AND otp = ?";
            Ok(u32::from(link.exec(sql, args![&new.0, user, &old.0]).await? > 0))
        }
        Small::Login(user, key, at) => {
            link.exec("UPDATE users SET last_login = ? WHERE id = ?", args![at, user]).await?;
            if let Some(key) = key {
                link.exec("UPDATE public_keys SET date_last_used = ? WHERE id = ? AND user_id = ?", args![at, key, user]).await?;
            }
            Ok(0)
        }
        Small::PutToken(t) => put_token(link, &t).await.map(|()| 0),
        Small::DeleteToken(id) => link.exec("DELETE FROM tokens WHERE id = ?", args![id]).await.map(|_| 0),
        Small::DeleteTokensOf(user) => link.exec("DELETE FROM tokens WHERE user_id = ?", args![user]).await.map(|_| 0),
        Small::Failure(key, now, window_s) => failure(link, &read::bounded(&key), now, window_s).await,
        Small::Clear(key) => {
            let key = read::bounded(&key);
            let n = link.exec("DELETE FROM attempts WHERE scope = ? AND value = ?", args![key.scope, &key.value]).await?;
            Ok(u32::try_from(n).unwrap_or(u32::MAX))
        }
        Small::Checkpoint(c) => {
            let seq = c.head.seq;
            link.exec("DELETE FROM checkpoints WHERE node_id = ? AND signed_at = ? AND seq = ?", args![&c.head.node_id, c.at, seq]).await?;
            let row = args![&c.head.node_id, seq, &c.head.hash, c.at, &c.key, &c.signature];
            link.insert_many("checkpoints", "node_id,seq,hash,signed_at,public_key,signature", vec![row]).await.map(|()| 0)
        }
        Small::Key(k) => {
            if k.active {
                link.exec("UPDATE key_material SET active = ? WHERE id <> ?", args![false, k.id]).await?;
            }
            link.exec("DELETE FROM key_material WHERE id = ?", args![k.id]).await?;
            let row = args![k.id, &k.wrapped, &k.algorithm, k.active, k.date_created];
            link.insert_many("key_material", "id,wrapped,algorithm,active,date_created", vec![row]).await.map(|()| 0)
        }
        Small::Setting(name, value) => {
            let text = json(&value);
            if link.exec("UPDATE settings SET value = ? WHERE name = ?", args![&text, &name]).await? == 0 {
                link.insert_many("settings", "name,value", vec![args![&name, &text]]).await?;
            }
            Ok(0)
        }
        Small::Close => Ok(0),
    }
}

/// Replaces what verifies a person. While the seed stays the same its last step never goes back, so that bookkeeping
/// that read the row before a login cannot make a used code valid again.
pub(super) async fn user_secrets(link: &mut Link, user: Id<User>, s: &UserSecrets) -> Result<()> {
    let missing = || StoreError::Missing(format!("user {user}"));
    let mut old = link.first("SELECT otp, otp_last_step FROM user_secrets WHERE user_id = ?", args![user]).await?.ok_or_else(missing)?;
    let (seed, step) = (old.opt_text()?, old.int()?);
    let otp = s.otp.as_ref().map(|o| o.0.clone());
    let step = if otp == seed { s.otp_last_step.max(step) } else { s.otp_last_step };
    let sql =
        "UPDATE user_secrets SET password_hash = ?, password_history = ?, password_set = ?, otp = ?, otp_last_step = ?, setup_token_hash = ? WHERE user_id = ?";
    link.exec(sql, args![&s.password_hash, json(&s.password_history), s.password_set, otp, step, &s.setup_token_hash, user]).await.map(drop)
}

async fn put_token(link: &mut Link, t: &Token) -> Result<()> {
    // expired tokens are worth nothing; the ones of this person go when he gets a new one
    link.exec("DELETE FROM tokens WHERE id = ? OR (user_id = ? AND date_expired <= ?)", args![t.id, t.user, t.date_created]).await?;
    let row = args![t.id, t.user, word(&t.kind), &t.hash, &t.csrf_hash, t.date_created, t.date_expired, &t.client, t.date_confirmed];
    let columns = "id,user_id,kind,hash,csrf_hash,date_created,date_expired,client,date_confirmed";
    link.insert_many("tokens", columns, vec![row]).await.map_err(|e| match e {
        StoreError::Reference(_) => StoreError::Reference("token".to_owned()),
        StoreError::Conflict(_) => StoreError::Conflict("token".to_owned()),
        e => e,
    })
}

async fn failure(link: &mut Link, key: &AttemptKey, now: Time, window_s: i64) -> Result<u32> {
    link.exec("DELETE FROM attempts WHERE forget_at <= ?", args![now]).await?;
    let before = read::failures(link, key, now, window_s).await?;
    if i64::from(before) < REMEMBERED {
        let forget = now.timestamp_micros().saturating_add(window_s.saturating_mul(1_000_000));
        link.insert_many("attempts", "id,scope,value,happened_at,forget_at", vec![args![Uuid::now_v7(), key.scope, &key.value, now, forget]]).await?;
    }
    Ok(before.saturating_add(1))
}

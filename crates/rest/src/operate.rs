//! What an operator does to the node itself: keys and lock-outs that belong to no stored person.

use std::net::IpAddr;

use axum::Json;
use model::MessagePair;
use policy::action::Operate;
use serde_json::{Value, json};
use store::LogBatch;
use vault::MasterKey;

use crate::{
    fail::Fail,
    guard::{Caller, Can},
    resource::Payload,
};

/// Operating a node is for holders of a system-wide role: its keys seal the secrets of every organization.
fn may_operate(caller: &Caller) -> Result<(), Fail> {
    if caller.may_everywhere("settings.change_node") { Ok(()) } else { Err(Fail::forbidden()) }
}

/// An entry in the chain before anything is done; without it nothing is done.
async fn evidence(caller: &Caller, kind: &str, target: &str, data: Value) -> Result<(), Fail> {
    let mut event = caller.by().event(kind, caller.app.now());
    event.target = target.chars().take(200).collect();
    event.data = data;
    caller.app.node().log(LogBatch { audit: vec![event], ..Default::default() }).await?;
    Ok(())
}

/// `POST /api/v1/settings/node/rotate-key/`: `{master: bool, data_key: bool}`. New keys while everything runs; every stored
/// secret is sealed again when the data key is new.
pub(crate) async fn rotate_key(can: Can<Operate>, body: Payload) -> Result<Json<Value>, Fail> {
    let caller = can.caller;
    may_operate(&caller)?;
    let body = body.object()?;
    let flag = |name: &str| body.get(name).and_then(Value::as_bool).unwrap_or(false);
    let (master, data_key) = (flag("master"), flag("data_key"));
    if !master && !data_key {
        return Err(Fail::field("master", MessagePair::new("api.required", "")));
    }
    let vault = caller.app.vault().clone();
    if master && !vault.master_is_file() {
        return Err(Fail::bad("system.master_key_not_in_file"));
    }
    evidence(&caller, "node.keys_rotating", caller.app.node_id(), json!({"master": master, "data_key": data_key})).await?;
    let broken = |e: vault::VaultError| Fail::internal(format!("key rotation: {e}"));
    let (mut master_id, mut key, mut resealed, mut damaged) = (Value::Null, Value::Null, json!(0), json!([]));
    if master {
        vault.rotate_master(MasterKey::generate().map_err(broken)?).await.map_err(broken)?;
        master_id = json!(vault.master_id());
    }
    if data_key {
        let (_, algorithm) = vault.active_key();
        key = json!(vault.rotate_data_key(algorithm).await.map_err(broken)?);
        let done = vault.reseal_all(|_| ()).await.map_err(broken)?;
        resealed = json!(done.total.resealed);
        damaged = json!(done.damaged);
    }
    Ok(Json(json!({"master": master_id, "data_key": key, "resealed": resealed, "damaged": damaged})))
}

/// `POST /api/v1/settings/node/unlock/`: `{username}` or `{address}`. Ends a lock-out, also of names that nobody has.
pub(crate) async fn unlock(can: Can<Operate>, body: Payload) -> Result<Json<Value>, Fail> {
    let caller = can.caller;
    may_operate(&caller)?;
    let body = body.object()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).filter(|t| !t.is_empty() && t.len() <= 512);
    let authn = caller.app.authn();
    let was_locked = match (text("username"), text("address")) {
        (Some(username), None) => {
            evidence(&caller, "user.unblock", username, json!({"username": username})).await?;
            authn.unlock(username).await.map_err(|e| Fail::internal(e.to_string()))?
        }
        (None, Some(address)) => {
            let ip: IpAddr = address.parse().map_err(|_| Fail::field("address", MessagePair::new("system.bad_address", "")))?;
            evidence(&caller, "address.unblock", address, json!({"address": ip})).await?;
            authn.unlock_address(ip).await.map_err(|e| Fail::internal(e.to_string()))?
        }
        _ => return Err(Fail::field("username", MessagePair::new("api.required", ""))),
    };
    Ok(Json(json!({"was_locked": was_locked})))
}

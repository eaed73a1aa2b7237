//! Borders between crates.
//!
//! Two lists, both closed: which of our crates a crate may name, and which outside crates only one of ours may name.
//! A new crate of ours must be added to [`MAY_DEPEND_ON`]; that is the moment to think about its place in the map.

use std::{collections::BTreeMap, io::Write, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Who may name whom. Development dependencies may add `testkit` and whatever `testkit` may name.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("policy", &["model"]),
    ("messages", &["model"]),
    ("terminal", &[]),
    ("store", &["model", "policy"]),
    ("store-sql", &["model", "policy", "store"]),
    ("vault", &["model", "policy", "store"]),
    ("audit", &["model", "policy", "store", "recording"]),
    ("recording", &["model", "store", "terminal"]),
    ("authn", &["model", "policy", "store", "vault", "messages"]),
    ("session", &["messages", "model", "policy", "store", "vault", "audit", "recording", "terminal"]),
    ("gw-ssh", &["messages", "model", "policy", "session", "recording", "terminal"]),
    ("api", &["messages", "model"]),
    ("rest", &["api", "messages", "model", "policy", "store", "vault", "audit", "recording", "session", "authn"]),
    ("server", &["messages", "model", "policy", "store", "store-sql", "vault", "audit", "terminal", "recording", "session", "authn", "gw-ssh", "api", "rest"]),
    ("testkit", &["model", "policy", "store", "store-sql", "vault", "audit", "session", "recording", "terminal", "authn"]),
    ("proofs", &["model", "policy", "store", "vault", "session", "rest"]),
    ("xtask", &[]),
];

/// Outside crates that only some of ours may name, with the reason. A name ending in `-` stands for every crate that starts so.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("sqlx", &["store-sql"], "SQL lives in one crate"),
    ("rusqlite", &["store-sql"], "SQL lives in one crate"),
    ("sea-query", &["store-sql"], "SQL lives in one crate"),
    ("russh", &["gw-ssh"], "a gateway owns its protocol library"),
    ("axum", &["rest", "server", "proofs"], "routes are registered through rest's guards"),
    ("utoipa", &["api", "rest"], "the wire types and the router write the specification"),
    ("clap", &["server"], "only the program reads its command line"),
    ("figment", &["server"], "only the program reads its configuration"),
    ("argon2", &["authn"], "passwords are verified in one place"),
    ("totp-rs", &["authn"], "one-time codes are verified in one place"),
    ("sm4", &["vault"], "secrets are sealed in one place"),
    ("vt100", &["terminal"], "one terminal emulation for commands, keyframes and replay"),
    ("zstd", &["recording"], "one container for recordings"),
    ("anyhow", &["server", "xtask", "testkit"], "libraries name their errors"),
];

/// Fails with every forbidden edge of the workspace.
pub fn check(root: &Path) -> Result<()> {
    let out = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .current_dir(root)
        .output()
        .context("cannot run cargo metadata")?;
    if !out.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&out.stderr));
    }
    let metadata: Value = serde_json::from_slice(&out.stdout).context("cargo metadata is not JSON")?;
    let packages = read(&metadata)?;
    let faults = faults(&packages);
    let mut err = std::io::stderr().lock();
    for fault in &faults {
        writeln!(err, "deps: {fault}")?;
    }
    if !faults.is_empty() {
        bail!("{} forbidden edge(s) between crates", faults.len());
    }
    writeln!(err, "deps: {} crates, every border holds", packages.len())?;
    Ok(())
}

/// One edge: the crate named, and whether only tests name it.
type Edge = (String, bool);

fn read(metadata: &Value) -> Result<BTreeMap<String, Vec<Edge>>> {
    let mut packages = BTreeMap::new();
    for package in metadata["packages"].as_array().context("no packages in the metadata")? {
        let name = package["name"].as_str().context("package without a name")?.to_owned();
        let edges = package["dependencies"]
            .as_array()
            .context("package without dependencies")?
            .iter()
            .filter_map(|d| Some((d["name"].as_str()?.to_owned(), d["kind"].as_str() == Some("dev"))))
            .collect();
        packages.insert(name, edges);
    }
    Ok(packages)
}

fn matches(pattern: &str, name: &str) -> bool {
    name == pattern || (pattern.ends_with('-') && name.starts_with(pattern))
}

fn faults(packages: &BTreeMap<String, Vec<Edge>>) -> Vec<String> {
    let mut faults = Vec::new();
    let for_tests: &[&str] = MAY_DEPEND_ON.iter().find(|(n, _)| *n == "testkit").map_or(&[], |(_, may)| may);
    for (name, edges) in packages {
        let Some((_, may)) = MAY_DEPEND_ON.iter().find(|(n, _)| n == name) else {
            faults.push(format!("`{name}` is not in the list MAY_DEPEND_ON of xtask/src/deps.rs: give it a place in the map"));
            continue;
        };
        for (to, dev) in edges {
            let ours = packages.contains_key(to);
            let allowed = may.contains(&to.as_str()) || (*dev && (to == "testkit" || to == name || for_tests.contains(&to.as_str())));
            if ours && !allowed {
                faults.push(format!("`{name}` must not depend on `{to}`"));
            }
            for (pattern, owners, why) in ONLY_IN {
                if matches(pattern, to) && !*dev && !owners.contains(&name.as_str()) {
                    faults.push(format!("`{name}` must not name `{to}`, only {} may: {why}", owners.join(", ")));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(edges: &[(&str, &[(&str, bool)])]) -> BTreeMap<String, Vec<Edge>> {
        edges.iter().map(|(name, to)| ((*name).to_owned(), to.iter().map(|(t, dev)| ((*t).to_owned(), *dev)).collect())).collect()
    }

    #[test]
    fn a_gateway_that_sees_the_rest_crate_is_named() {
        let found = faults(&workspace(&[("gw-ssh", &[("rest", false)]), ("rest", &[])]));

        assert_eq!(found, ["`gw-ssh` must not depend on `rest`"]);
    }

    #[test]
    fn sql_outside_its_crate_is_named_with_the_reason() {
        let found = faults(&workspace(&[("audit", &[("sqlx", false)])]));

        assert_eq!(found, ["`audit` must not name `sqlx`, only store-sql may: SQL lives in one crate"]);
    }

    #[test]
    fn tests_may_use_the_testkit_and_a_crate_nobody_placed_is_refused() {
        let found = faults(&workspace(&[("vault", &[("testkit", true)]), ("testkit", &[]), ("newcomer", &[])]));

        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("newcomer"));
    }
}

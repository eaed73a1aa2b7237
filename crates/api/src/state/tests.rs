#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use super::*;

fn read(text: &str) -> Result<Vec<Document>, Vec<Problem>> {
    parse(&[("a.yaml".into(), text.into())], Lang::En, |source| match source {
        Source::Env("PW") => Ok("from env".into()),
        Source::File { path: "key", .. } => Ok("from file".into()),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn documents_know_the_line_of_every_field() {
    let docs = read("kind: UserGroup\nmetadata: {name: ops}\n---\nkind: Host\nmetadata:\n  name: web1\nspec:\n  address: 10.0.0.5\n  accounts:\n    - username: root\n      secret: {file: key}\n").unwrap();

    assert_eq!(docs.len(), 2);
    assert_eq!(docs[1].line, 4);
    assert_eq!(docs[1].line_of("spec.address"), 8);
    assert_eq!(docs[1].line_of("spec.accounts[0].secret"), 11);
    assert_eq!(docs[1].line_of("spec.accounts[0].unheard_of"), 10);
    assert_eq!(docs[1].spec["accounts"][0]["secret"], "from file");
}

#[test]
fn secrets_come_from_value_file_or_environment_and_stay_text() {
    let docs = read("kind: User\nmetadata: {name: alice}\nspec:\n  password: {env: PW}\n---\nkind: User\nmetadata: {name: bob}\nspec:\n  password: {value: 0123}\n  public_keys: [{file: key}, 'ssh-ed25519 AAAA']\n").unwrap();

    assert_eq!(docs[0].spec["password"], "from env");
    assert_eq!(docs[1].spec["password"], "0123");
    assert_eq!(docs[1].spec["public_keys"], serde_json::json!(["from file", "ssh-ed25519 AAAA"]));
}

#[test]
fn json_is_read_like_yaml() {
    let docs = read("{\"kind\": \"User\", \"metadata\": {\"name\": \"a\"}, \"spec\": {\"is_active\": true, \"n\": 5, \"t\": \"5\"}}").unwrap();

    assert_eq!(docs[0].spec["is_active"], true);
    assert_eq!(docs[0].spec["n"], 5);
    assert_eq!(docs[0].spec["t"], "5");
}

#[test]
fn every_problem_names_file_line_and_field() {
    let problems =
        read("metadata: {name: x}\n---\nkind: User\nmetadata: {nam: y}\n---\nkind: User\nmetadata: {name: z}\nspec:\n  password: {env: NOPE}\n").unwrap_err();

    let found: Vec<(u32, &str)> = problems.iter().map(|p| (p.line, p.field.as_str())).collect();
    assert_eq!(found, [(1, "kind"), (4, "metadata.nam"), (4, "metadata.name"), (9, "spec.password")]);
    assert!(problems.iter().all(|p| p.file == "a.yaml"));
}

#[test]
fn broken_and_hostile_files_are_refused_with_a_line() {
    for text in ["kind: [", "a: b: c", "x: &a [1]\ny: *a\n", "kind: User\nkind: User\n", "- 1\n- 2\n", "\t- x"] {
        let problems = read(text).expect_err(text);
        assert!(problems[0].line >= 1, "{text}");
    }
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(read(&deep).is_err());
}

#[test]
fn debug_of_a_document_does_not_show_its_secrets() {
    let docs = read("kind: User\nmetadata: {name: bob}\nspec:\n  password: {value: hunter2}\n").unwrap();

    assert!(!format!("{docs:?}").contains("hunter2"));
}

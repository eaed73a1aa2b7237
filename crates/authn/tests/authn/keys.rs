//! Public key lines, good and bad. The good ones and their fingerprints were made and printed by `ssh-keygen`.

use authn::keys::{KeyError, fingerprint, parse};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

const GOOD: &[(&str, &str, usize)] = &[
    ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGSzIlUCogt8TBjiioUxh9xZH4SN5u4QoFsRAGnC+XR/ me@host", "SHA256:bQHk4ohT/DeyDBLq4rnU9aPBKeNz2nGT6ZDG+P3DcS4", 256),
    (
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBFzBEHEmx4G858z7Rh7i2dy6gKlqH4fWOBgbNHRfV3rqGwqUcr/t3h95q6oViTvasF5oX3LmVqIyY3XgabeQFWA= me@host",
        "SHA256:OjznhXhXZ/Og0SlS8lhA/6g+iQ4Gn+PbrsYSHzEWVWQ",
        256,
    ),
    (
        "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBKTW2ofI1rSqK5RLaRjvbOQ/i2LNqknLoY/imA37Q/Hitno7hSeDZgm9YSpgWAounIoUnEPilAVScHrT5DPnGTIDiSn2rLp7h2TbimkRlNexUPBPbpQP5fBV1gE6GsDvPw== me@host",
        "SHA256:V1DiXvlnN2GC2hIvZ1ek5ERCu8ORX2hZ3PMZIev3M0g",
        384,
    ),
    (
        "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBADUaONQHLzM2n3R+6HePcmiNA2EIJdYdjEJUGKc4lxZ2Cr5w962TDoMHoWtvUhTp5OYDoihY0IFy9/TEzRHdOrUOwBn8BkhKWtNkjYMmh73XYiKY6O5c4HSr+ByNNYCXbB+SZl8/pnFn+qvbSQPT5thOETihY1qH3MnDglPN1ZGFfC/1Q== me@host",
        "SHA256:y6QkHO1Abd+UByQ1vj1mqVroj9DIfDAF7vNtt5CQ63E",
        521,
    ),
    (
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCtpyUmuJmk4OB3AGebxs5Oe3QTtxRTK4Q654psj/b8Rq2XRK5abkByaNBAf/lvgSzZ3oMIdcj00+8WiTkQN1WWSiqcXUv1VYrgDqt7ViKfNKZ8VERwTc6eUsWuEeLR05oyC/7wgczofiRxZOkUGb1lAM1Dh5vVZFGrTpm6NA++QIim+n9G8wZDRtEj3UflXVE4U/zncYlWxOazTeBiFlT459xYghZSNq1XGvVtvQgN+Zvu8u96K7k6nGfl7+dm79HF3df3eX7xBG1peEZj8pMJkyPa8twAfCSnw9V909B+OL5VWV1pf2pV4O9HoRMoZNk7eLZx35kGgfKT5ftw6pRj me@host",
        "SHA256:bELlSY9iOu2wjlglOHQDcFCWLDWl36gQm5JOrerH9OY",
        2048,
    ),
];
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC4h4/i9A+JCz7aAgvUeoYwqpfiWlnIiVqwD7BbON71eCrbO8sXm6GzCVWfPPnlX7b3oiIe050fhGGl7IdvNIjo/fNB2hCxKWxicKklnxNpWrFM/Qbtcbrmf1gPhwfxsQ24lUXd8P/ruAAB8tvCD5Q4DLTiw2xRx8f4jmwAP1tVLw== me@host";

/// An SSH wire form of these fields.
fn blob(fields: &[&[u8]]) -> Vec<u8> {
    fields.iter().flat_map(|f| [&u32::try_from(f.len()).unwrap().to_be_bytes()[..], f].concat()).collect()
}
fn line(algorithm: &str, blob: &[u8]) -> String {
    format!("{algorithm} {}", STANDARD.encode(blob))
}

#[test]
fn keys_of_every_accepted_kind_are_read_as_openssh_reads_them() {
    for (text, print, bits) in GOOD {
        let key = parse(text).unwrap();
        assert_eq!((key.fingerprint().as_str(), key.bits, key.comment.as_str(), key.line().as_str()), (*print, *bits, "me@host", *text));
        assert_eq!(fingerprint(&key.blob), *print);
        assert_eq!(parse(&format!("\t{}\n", text.replace(' ', "\t"))).unwrap().blob, key.blob);
    }
    let app: &[u8] = b"ssh:";
    let point = [&[4u8][..], &[7; 64]].concat();
    for sk in [
        line("sk-ssh-ed25519@openssh.com", &blob(&[b"sk-ssh-ed25519@openssh.com", &[7; 32], app])),
        line("sk-ecdsa-sha2-nistp256@openssh.com", &blob(&[b"sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", &point, app])),
    ] {
        assert!(parse(&sk).is_ok(), "{sk}");
    }
}

#[test]
fn the_same_key_with_another_comment_is_the_same_key() {
    let (a, b) = (parse(GOOD[0].0).unwrap(), parse(&GOOD[0].0.replace("me@host", "work laptop")).unwrap());
    assert!(a.is_same(&b) && a != b);
    assert!(!a.is_same(&parse(GOOD[1].0).unwrap()));
}

#[test]
fn weak_and_foreign_keys_are_refused_with_their_reason() {
    assert_eq!(parse(RSA_1024), Err(KeyError::Short(1024)));
    let good = GOOD[0].0;
    for (text, why) in [
        (format!("command=\"ls\" {good}"), KeyError::Options),
        (format!("no-pty,from=\"10.0.0.0/8\" {good}"), KeyError::Options),
        (line("ssh-dss", &blob(&[b"ssh-dss", &[1]])), KeyError::Kind),
        (good.replace("ssh-ed25519 ", "ssh-ed25519-cert-v01@openssh.com "), KeyError::Kind),
        (good.replace("ssh-ed25519 ", "ssh-rsa "), KeyError::Format),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb".to_owned(), KeyError::Private),
        (format!("{good}\n{good}"), KeyError::Format),
        (String::new(), KeyError::Format),
        ("ssh-ed25519".to_owned(), KeyError::Format),
        ("ssh-ed25519 !!!!".to_owned(), KeyError::Format),
        ("ssh-ed25519 AAAA".to_owned(), KeyError::Format),
        ("x".repeat(1_000_000), KeyError::Format),
    ] {
        assert_eq!(parse(&text).unwrap_err(), why, "{text:.60}");
    }
}

#[test]
fn the_wire_form_has_exactly_its_fields() {
    let ed: &[u8] = b"ssh-ed25519";
    let rsa: &[u8] = b"ssh-rsa";
    let n = [&[0u8, 0xff][..], &[7; 255]].concat();
    let minus = [&[0xffu8][..], &[7; 255]].concat();
    let padded = [&[0u8, 0, 0xff][..], &[7; 255]].concat();
    assert!(parse(&line("ssh-rsa", &blob(&[rsa, &[1, 0, 1], &n]))).is_ok());
    for (algorithm, wire) in [
        ("ssh-ed25519", blob(&[ed, &[7; 31]])),
        ("ssh-ed25519", blob(&[ed, &[7; 33]])),
        ("ssh-ed25519", blob(&[ed, &[7; 32], b"more"])),
        ("ssh-ed25519", [blob(&[ed, &[7; 32]]), vec![0]].concat()),
        ("ssh-ed25519", vec![0xff; 64]),
        ("ssh-rsa", blob(&[rsa, &[1, 0, 1], &minus])),
        ("ssh-rsa", blob(&[rsa, &[1, 0, 1], &padded])),
        ("ssh-rsa", blob(&[rsa, &[2], &n])),
        ("ssh-rsa", blob(&[rsa, &[1], &n])),
        ("ssh-rsa", blob(&[rsa, &[], &n])),
        ("ssh-rsa", blob(&[rsa, &[7; 9], &n])),
        ("ssh-rsa", blob(&[rsa, &[1, 0, 1], &[7; 4096]])),
        ("ecdsa-sha2-nistp256", blob(&[b"ecdsa-sha2-nistp256", b"nistp384", &[4; 65]])),
        ("ecdsa-sha2-nistp256", blob(&[b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]])),
    ] {
        assert_eq!(parse(&line(algorithm, &wire)), Err(KeyError::Format), "{algorithm} {}", wire.len());
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(text in ".{0,300}", body in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..7) {
        let _ = parse(&text);
        let algorithm = GOOD[kind % GOOD.len()].0.split(' ').next().unwrap();
        let _ = parse(&line(algorithm, &body));
        let _ = parse(&line(algorithm, &[blob(&[algorithm.as_bytes()]), body].concat()));
    }

    #[test]
    fn a_changed_key_is_never_the_same_key(at in 0usize..2000, bit in 0u8..8, which in 0usize..5) {
        let key = parse(GOOD[which].0).unwrap();
        let mut changed = key.blob.clone();
        let at = at % changed.len();
        changed[at] ^= 1 << bit;
        if let Ok(other) = parse(&line(key.algorithm, &changed)) {
            prop_assert!(!other.is_same(&key) && other.fingerprint() != key.fingerprint());
        }
    }
}

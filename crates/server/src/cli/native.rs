//! `rampart ssh`, `sftp`, `scp`: the user's own programs with everything filled in. Arguments are handed over as a list; there
//! is no shell in between.

use std::{os::unix::process::CommandExt as _, process::Command};

use super::{
    Done, Door, Failure, NativeArgs, ScpArgs,
    client::{Base, Logins},
    say,
};

/// Port of the SSH door unless something else is said.
const PORT: u16 = 2222;

/// Where the programs are sent, and as whom.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    host: String,
    port: u16,
    user: String,
}

fn way(door: &Door) -> Result<Way, Failure> {
    let logins = Logins::load()?;
    let login = logins.of(door.server.as_deref());
    let user = door.user.clone().or_else(|| login.map(|l| l.user.clone())).ok_or_else(|| Failure::usage(say("cli.no_target", &[])))?;
    let said = door.ssh.clone().or_else(|| login.and_then(|l| l.ssh.clone()));
    let (host, port) = match said {
        Some(said) => host_port(&said).ok_or_else(|| Failure::usage(say("cli.bad_door", &[("door", &said)])))?,
        None => {
            let server = door.server.clone().or_else(|| login.map(|l| l.server.clone())).ok_or_else(|| Failure::usage(say("cli.no_target", &[])))?;
            (Base::parse(&server)?.host, PORT)
        }
    };
    if host.starts_with('-') || user.starts_with('-') {
        return Err(Failure::usage(say("cli.bad_door", &[("door", &host)])));
    }
    Ok(Way { host, port, user })
}

/// `host`, `host:port`, `[v6]:port`.
fn host_port(text: &str) -> Option<(String, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, tail) = rest.split_once(']')?;
        let port = if tail.is_empty() { PORT } else { tail.strip_prefix(':')?.parse().ok()? };
        return Some((host.to_owned(), port));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => Some((host.to_owned(), port.parse().ok()?)),
        _ if text.is_empty() => None,
        _ => Some((text.to_owned(), PORT)),
    }
}

impl Way {
    /// The name to log in with: person, account, asset. `#` separates when a part holds an `@`.
    fn login(&self, to: &str) -> String {
        let (account, asset) = to.rsplit_once('@').map_or((None, to), |(account, asset)| (Some(account), asset));
        match account {
            None => format!("{}:{asset}", self.user),
            Some(account) if self.user.contains('@') || account.contains('@') => format!("{}#{account}#{asset}", self.user),
            Some(account) => format!("{}@{account}@{asset}", self.user),
        }
    }
    fn options(&self, to: &str) -> Vec<String> {
        vec!["-o".into(), format!("User={}", self.login(to)), "-o".into(), format!("Port={}", self.port)]
    }
}

/// Becomes `ssh` or `sftp`.
pub fn ssh(program: &str, args: &NativeArgs) -> Done {
    let way = way(&args.door)?;
    let mut command = Command::new(program);
    command.args(way.options(&args.to));
    // sftp takes its options in front of the host only.
    if program == "sftp" {
        command.args(&args.args).arg(&way.host);
    } else {
        command.arg(&way.host).args(&args.args);
    }
    become_it(program, command)
}

/// Becomes `scp`.
pub fn scp(args: &ScpArgs) -> Done {
    let way = way(&args.door)?;
    let (to, words) = scp_words(&args.args, &way.host)?;
    let mut command = Command::new("scp");
    command.args(way.options(&to)).args(words);
    become_it("scp", command)
}

/// Puts the door in the place of the asset. All remote words must name the same one.
fn scp_words(args: &[String], host: &str) -> Result<(String, Vec<String>), Failure> {
    let mut to: Option<String> = None;
    let mut words = Vec::with_capacity(args.len());
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    for word in args {
        let remote = word.split_once(':').filter(|(head, _)| !head.is_empty() && !head.contains('/') && !word.starts_with('-'));
        match remote {
            None => words.push(word.clone()),
            Some((target, path)) => {
                if to.as_deref().is_some_and(|t| t != target) {
                    return Err(Failure::usage(say("cli.scp_one_asset", &[])));
                }
                to = Some(target.to_owned());
                words.push(format!("{host}:{path}"));
            }
        }
    }
    to.map(|to| (to, words)).ok_or_else(|| Failure::usage(say("cli.scp_no_asset", &[])))
}

fn become_it(program: &str, mut command: Command) -> Done {
    let e = command.exec();
    Err(Failure::says("cli.no_program", &[("program", program), ("detail", &e.to_string())]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(args: &[&str]) -> Result<(String, Vec<String>), Failure> {
        scp_words(&args.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>(), "gate")
    }

    #[test]
    fn the_user_name_names_person_account_and_asset() {
        let way = |user: &str| Way { host: "gate".into(), port: 2222, user: user.into() };

        assert_eq!(way("alice").login("root@web1"), "alice@root@web1");
        assert_eq!(way("alice").login("web1"), "alice:web1");
        assert_eq!(way("alice@corp.example").login("root@web1"), "alice@corp.example#root#web1");
        assert_eq!(way("alice").login("svc@corp@web1"), "alice#svc@corp#web1");
    }

    #[test]
    fn doors_are_read_with_and_without_port() {
        assert_eq!(host_port("gate"), Some(("gate".into(), 2222)));
        assert_eq!(host_port("gate:22"), Some(("gate".into(), 22)));
        assert_eq!(host_port("[::1]:22"), Some(("::1".into(), 22)));
        assert_eq!(host_port("::1"), Some(("::1".into(), 2222)));
        assert_eq!(host_port("gate:x"), None);
    }

    #[test]
    fn scp_goes_to_one_asset() {
        assert_eq!(words(&["-r", "./site", "app@web1:/srv"]).unwrap(), ("app@web1".into(), vec!["-r".into(), "./site".into(), "gate:/srv".into()]));
        assert_eq!(words(&["web1:a", "web1:b", "."]).unwrap().1, ["gate:a", "gate:b", "."]);
        assert!(words(&["web1:a", "web2:b"]).is_err());
        assert!(words(&["a", "./b:c"]).is_err());
    }
}

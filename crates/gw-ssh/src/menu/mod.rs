//! The interactive menu: what a person sees who logs in without naming a target.
//!
//! The logic is in [`state`] and knows no I/O; this file feeds it from a [`Console`] and asks the [`ControlPlane`].

mod help;
mod keys;
mod line;
mod pick;
mod state;
mod table;
mod view;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use policy::Identity;
use session::{AccountAsk, AccountChoice, ControlPlane, Target};
use tokio::time::{Instant, timeout_at};

use crate::console::{Console, ConsoleClosed, ConsoleEvent};
use line::{Edited, Editor};
use pick::{Picked, Picker};
use state::{Menu, Request};

/// Longest time without a key before the menu closes.
pub const MAX_IDLE: Duration = Duration::from_secs(30 * 60);

/// What a person wants to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The asset.
    pub target: Target,
    /// As whom.
    pub account: AccountAsk,
    /// `ssh`, …
    pub protocol: String,
}

/// Shows the menu until the person has chosen; `None` when the person leaves or is idle too long. What was typed behind the
/// choice stays readable on the console.
///
/// # Errors
/// The terminal is gone.
pub async fn run(console: &mut Console, control: &Arc<dyn ControlPlane>, who: &Identity, client: IpAddr) -> Result<Option<Choice>, ConsoleClosed> {
    tracing::debug!(user = who.username(), %client, "menu");
    // Coming back from a session, the help would push what the target said last off the screen.
    let back = console.greet();
    let mut menu = Menu::new(who.display(), console.lang(), console.size(), back);
    let mut deadline = Instant::now() + MAX_IDLE;
    loop {
        let out = menu.take_output();
        if !out.is_empty() {
            console.write(&out).await?;
        }
        match menu.take_request() {
            Some(Request::Leave) => return Ok(None),
            Some(Request::Choose(choice)) => {
                console.unread(menu.unread());
                return Ok(Some(*choice));
            }
            Some(Request::Language(lang)) => {
                console.set_lang(lang);
                menu.feed(&[]);
                continue;
            }
            Some(Request::Targets(query)) => {
                menu.on_targets(control.targets(who, &query).await);
                continue;
            }
            Some(Request::Folders) => {
                menu.on_folders(control.folders(who).await);
                continue;
            }
            Some(Request::Accounts(asset, protocol)) => {
                menu.on_accounts(control.accounts(who, asset, &protocol).await);
                continue;
            }
            None => {}
        }
        match timeout_at(deadline, console.read()).await {
            Err(_) => menu.idle(MAX_IDLE.as_secs() / 60),
            Ok(ConsoleEvent::Eof) => return Ok(None),
            Ok(ConsoleEvent::Resize(cols, rows)) => menu.resize(cols, rows),
            Ok(ConsoleEvent::Bytes(bytes)) => {
                deadline = Instant::now() + MAX_IDLE;
                menu.feed(&bytes);
            }
        }
    }
}

/// Lets the person choose among accounts of the asset of that name, outside the menu. `None`: the person gave up.
///
/// # Errors
/// The terminal is gone.
pub async fn pick_account(console: &mut Console, asset: &str, choices: &[AccountChoice]) -> Result<Option<AccountAsk>, ConsoleClosed> {
    let mut picker = match Picker::new(asset, choices.to_vec()) {
        Err(account) => return Ok(Some(account)),
        Ok(picker) => picker,
    };
    let mut editor = Editor::new(console.size().0);
    let mut decoder = keys::Decoder::default();
    let mut out = Vec::new();
    let deadline = Instant::now() + MAX_IDLE;
    screen(&picker, &mut editor, console, &mut out);
    loop {
        console.write(&std::mem::take(&mut out)).await?;
        let bytes = match timeout_at(deadline, console.read()).await {
            Err(_) | Ok(ConsoleEvent::Eof) => return Ok(None),
            Ok(ConsoleEvent::Bytes(bytes)) => bytes,
            Ok(ConsoleEvent::Resize(cols, _)) => {
                editor.resize(cols);
                out.extend_from_slice(b"\x1b[H\x1b[2J");
                picker.show(console.lang(), usize::from(cols)).iter().for_each(|l| push_line(&mut out, l));
                editor.draw(&mut out);
                continue;
            }
        };
        let mut rest = bytes.iter();
        while let Some(byte) = rest.next() {
            let Some(key) = decoder.push(*byte) else { continue };
            let line = match editor.key(key, &mut out) {
                Edited::Going => continue,
                Edited::Redraw => String::new(),
                Edited::Interrupted | Edited::Eof => return console.write(&out).await.map(|()| None),
                Edited::Line(line) => line,
            };
            match picker.line(console.lang(), &line) {
                Picked::Back => return console.write(&out).await.map(|()| None),
                Picked::Again(lines) => {
                    lines.iter().for_each(|l| push_line(&mut out, l));
                    editor.start(&picker.prompt(console.lang()), false, &mut out);
                }
                Picked::Account(account) => {
                    console.write(&out).await?;
                    console.unread(rest.copied().collect());
                    return Ok(Some(account));
                }
            }
        }
    }
}

fn screen(picker: &Picker, editor: &mut Editor, console: &Console, out: &mut Vec<u8>) {
    picker.show(console.lang(), usize::from(console.size().0)).iter().for_each(|l| push_line(out, l));
    editor.start(&picker.prompt(console.lang()), false, out);
}

fn push_line(out: &mut Vec<u8>, line: &str) {
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

//! The menu without I/O: keyboard bytes and answers go in, screen bytes and requests come out.
//!
//! INVARIANT: at most one request is open; bytes that arrive meanwhile wait and are read afterwards, in order. What was
//! typed behind the line that chose a target is not read at all: it belongs to the session ([`Menu::unread`]).

mod draw;

use std::collections::VecDeque;

use messages::Lang;
use model::{Category, Id, MessagePair, Page};
use session::{AccountAsk, AccountChoice, Target, TargetQuery};

use super::{
    Choice,
    keys::Decoder,
    line::{Edited, Editor},
    pick::{Picked, Picker},
    view::{Command, View, parse},
};

/// Most bytes that wait while a request is open; more are dropped.
const MAX_WAITING: usize = 64 * 1024;
/// Protocols that a terminal can be connected to here, in the order of preference.
const SERVED: [&str; 1] = ["ssh"];

/// What the menu needs from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Answer with [`Menu::on_targets`].
    Targets(TargetQuery),
    /// Answer with [`Menu::on_folders`].
    Folders,
    /// Answer with [`Menu::on_accounts`].
    Accounts(Id<model::Asset>, String),
    /// The person chose a language; no answer.
    Language(Lang),
    /// Connect; the menu is over.
    Choose(Box<Choice>),
    /// The person leaves; the menu is over.
    Leave,
}

/// Why targets were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    /// To show them; a single hit is connected at once.
    List { connect_single: bool },
    /// Row with this number, to connect.
    Row(u64),
}

#[derive(Debug)]
enum Mode {
    Main,
    Language,
    Account { target: Box<Target>, protocol: String, picker: Picker },
}

#[derive(Debug)]
enum Waiting {
    Targets(View, Want),
    Folders { open: Option<u64> },
    Accounts { target: Box<Target>, protocol: String },
}

/// What the last list showed.
#[derive(Debug)]
enum Shown {
    Nothing,
    Targets { view: View, count: u64, rows: Vec<Target> },
    Folders { offset: usize },
}

/// The menu of one person.
#[derive(Debug)]
pub struct Menu {
    user: String,
    lang: Lang,
    size: (u16, u16),
    decoder: Decoder,
    editor: Editor,
    mode: Mode,
    waiting: Option<Waiting>,
    shown: Shown,
    folders: Vec<(String, u64)>,
    input: VecDeque<u8>,
    out: Vec<u8>,
    request: Option<Request>,
}

impl Menu {
    /// Greets the person of that (unescaped) name, unless he comes `back`, and shows the prompt.
    pub fn new(user: &str, lang: Lang, size: (u16, u16), back: bool) -> Self {
        let mut menu = Self {
            user: terminal::safe(user),
            lang,
            size,
            decoder: Decoder::default(),
            editor: Editor::new(size.0),
            mode: Mode::Main,
            waiting: None,
            shown: Shown::Nothing,
            folders: Vec::new(),
            input: VecDeque::new(),
            out: Vec::new(),
            request: None,
        };
        if !back {
            menu.banner();
        }
        menu.prompt();
        menu
    }

    /// Bytes for the screen.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// What is needed next.
    pub fn take_request(&mut self) -> Option<Request> {
        self.request.take()
    }

    /// Bytes that were not read.
    pub fn unread(self) -> Vec<u8> {
        self.input.into()
    }

    /// Bytes from the keyboard.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = MAX_WAITING.saturating_sub(self.input.len());
        self.input.extend(bytes.iter().take(room));
        self.pump();
    }

    /// The window has another size: what is shown is drawn again on an empty screen.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        if self.size == (cols, rows) {
            return;
        }
        self.size = (cols, rows);
        self.editor.resize(cols);
        if self.waiting.is_none() {
            self.redraw();
        }
    }

    /// Nobody typed for too long.
    pub fn idle(&mut self, minutes: u64) {
        self.out.extend_from_slice(b"\r\n");
        self.say("menu.idle", &[("minutes", &minutes.to_string())]);
        self.request = Some(Request::Leave);
    }

    /// The answer to [`Request::Targets`].
    pub fn on_targets(&mut self, answer: Result<Page<Target>, MessagePair>) {
        if let Some(Waiting::Targets(view, want)) = self.waiting.take() {
            match answer {
                Err(m) => self.refused(&m),
                Ok(page) => {
                    let page = view.narrow(page, self.page_size());
                    match want {
                        Want::Row(_) => match page.rows.into_iter().next() {
                            Some(target) => self.choose(target),
                            None => self.complain("menu.bad_number", &[]),
                        },
                        Want::List { connect_single } => self.list(view, page, connect_single),
                    }
                }
            }
        }
        self.pump();
    }

    /// The answer to [`Request::Folders`].
    pub fn on_folders(&mut self, answer: Result<Vec<(String, u64)>, MessagePair>) {
        if let Some(Waiting::Folders { open }) = self.waiting.take() {
            match (answer, open) {
                (Err(m), _) => self.refused(&m),
                (Ok(folders), None) => {
                    self.folders = folders;
                    self.shown = Shown::Folders { offset: 0 };
                    self.show();
                    self.prompt();
                }
                (Ok(folders), Some(n)) => {
                    self.folders = folders;
                    self.open_folder(n);
                }
            }
        }
        self.pump();
    }

    /// The answer to [`Request::Accounts`].
    pub fn on_accounts(&mut self, answer: Result<Vec<AccountChoice>, MessagePair>) {
        if let Some(Waiting::Accounts { target, protocol }) = self.waiting.take() {
            match answer {
                Err(m) => self.refused(&m),
                Ok(choices) if choices.is_empty() => {
                    let asset = terminal::safe(&target.asset.name);
                    self.complain("access.no_account", &[("asset", &asset)]);
                }
                Ok(choices) => match Picker::new(&target.asset.name, choices) {
                    Err(account) => self.connect(*target, account, protocol),
                    Ok(picker) => {
                        self.mode = Mode::Account { target, protocol, picker };
                        self.show();
                        self.prompt();
                    }
                },
            }
        }
        self.pump();
    }

    fn pump(&mut self) {
        while self.waiting.is_none() && self.request.is_none() {
            let Some(byte) = self.input.pop_front() else { return };
            let Some(key) = self.decoder.push(byte) else { continue };
            match self.editor.key(key, &mut self.out) {
                Edited::Going => {}
                Edited::Redraw => self.redraw(),
                Edited::Interrupted if matches!(self.mode, Mode::Main) => self.prompt(),
                Edited::Eof if matches!(self.mode, Mode::Main) => self.leave(),
                Edited::Interrupted | Edited::Eof => self.main(),
                Edited::Line(line) => self.line(&line),
            }
        }
    }

    fn line(&mut self, line: &str) {
        match &mut self.mode {
            Mode::Main => self.command(line),
            Mode::Language => self.language(line),
            Mode::Account { picker, .. } => match picker.line(self.lang, line) {
                Picked::Back => self.main(),
                Picked::Again(lines) => {
                    self.lines(&lines);
                    self.prompt();
                }
                Picked::Account(account) => {
                    if let Mode::Account { target, protocol, .. } = std::mem::replace(&mut self.mode, Mode::Main) {
                        self.connect(*target, account, protocol);
                    }
                }
            },
        }
    }

    fn command(&mut self, line: &str) {
        let listed = match &self.shown {
            Shown::Targets { count, .. } => *count,
            _ => 0,
        };
        match parse(line, listed) {
            Command::Leave => self.leave(),
            Command::Help => {
                self.banner();
                self.prompt();
            }
            Command::Language => {
                self.mode = Mode::Language;
                self.show();
                self.prompt();
            }
            Command::All => self.ask(View::default(), Want::List { connect_single: false }),
            Command::Hosts => self.ask(View { category: Some(Category::Host), ..View::default() }, Want::List { connect_single: false }),
            Command::Search { words, connect_single } => self.ask(View { search: words, ..View::default() }, Want::List { connect_single }),
            Command::Refine(words) => {
                let mut view = if let Shown::Targets { view, .. } = &self.shown { view.clone() } else { View::default() };
                view.refine(words);
                self.ask(view, Want::List { connect_single: false });
            }
            Command::Number(n) => self.number(n),
            Command::Folders => self.ask_folders(None),
            Command::Folder(n) if self.folders.is_empty() => self.ask_folders(Some(n)),
            Command::Folder(n) => self.open_folder(n),
            Command::Next => self.turn(true),
            Command::Previous => self.turn(false),
            Command::Refresh => self.refresh(),
        }
    }

    fn number(&mut self, n: u64) {
        let Shown::Targets { view, rows, .. } = &self.shown else { return };
        let here = n.checked_sub(view.offset + 1).and_then(|i| usize::try_from(i).ok()).and_then(|i| rows.get(i)).cloned();
        let elsewhere = View { offset: n.saturating_sub(1), ..view.clone() };
        match here {
            Some(target) => self.choose(target),
            None => self.ask(elsewhere, Want::Row(n)),
        }
    }

    fn turn(&mut self, forward: bool) {
        let page = u64::from(self.page_size());
        match &mut self.shown {
            Shown::Nothing => self.ask(View::default(), Want::List { connect_single: false }),
            Shown::Targets { view, count, rows } => {
                let next = view.offset + rows.len() as u64;
                let (mut view, count) = (view.clone(), *count);
                if forward && next >= count {
                    return self.complain("menu.last_page", &[]);
                }
                if !forward && view.offset == 0 {
                    return self.complain("menu.first_page", &[]);
                }
                view.offset = if forward { next } else { view.offset.saturating_sub(page) };
                self.ask(view, Want::List { connect_single: false });
            }
            Shown::Folders { offset } => {
                let step = usize::try_from(page).unwrap_or(usize::MAX);
                if forward && *offset + step >= self.folders.len() {
                    return self.complain("menu.last_page", &[]);
                }
                if !forward && *offset == 0 {
                    return self.complain("menu.first_page", &[]);
                }
                *offset = if forward { *offset + step } else { offset.saturating_sub(step) };
                self.show();
                self.prompt();
            }
        }
    }

    fn refresh(&mut self) {
        self.folders.clear();
        match &self.shown {
            Shown::Nothing => self.ask(View::default(), Want::List { connect_single: false }),
            Shown::Targets { view, .. } => self.ask(view.clone(), Want::List { connect_single: false }),
            Shown::Folders { .. } => self.ask_folders(None),
        }
    }

    fn language(&mut self, line: &str) {
        let picked = line.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).and_then(|i| Lang::ALL.get(i)).copied();
        if let Some(lang) = picked.or_else(|| Lang::best(line)) {
            self.lang = lang;
            self.request = Some(Request::Language(lang));
            self.mode = Mode::Main;
            self.banner();
            self.prompt();
        } else if matches!(line, "" | "b" | "back" | "q" | "quit" | "exit") {
            self.main();
        } else {
            self.complain("menu.bad_choice", &[]);
        }
    }

    fn open_folder(&mut self, n: u64) {
        let folder = n.checked_sub(1).and_then(|i| usize::try_from(i).ok()).and_then(|i| self.folders.get(i)).map(|(path, _)| path.clone());
        match folder {
            Some(path) => self.ask(View { node: Some(path), ..View::default() }, Want::List { connect_single: false }),
            None => self.complain("menu.bad_folder", &[]),
        }
    }

    fn ask(&mut self, view: View, want: Want) {
        let limit = if matches!(want, Want::Row(_)) { 1 } else { u64::from(self.page_size()) };
        self.request = Some(Request::Targets(view.query(limit)));
        self.waiting = Some(Waiting::Targets(view, want));
    }

    fn ask_folders(&mut self, open: Option<u64>) {
        self.request = Some(Request::Folders);
        self.waiting = Some(Waiting::Folders { open });
    }

    fn list(&mut self, view: View, page: Page<Target>, connect_single: bool) {
        if page.rows.is_empty() && page.count > 0 && view.offset > 0 {
            // Rows vanished since the last page was shown.
            return self.ask(View { offset: 0, ..view }, Want::List { connect_single: false });
        }
        let single = connect_single && page.count == 1;
        let first = page.rows.first().cloned();
        self.shown = Shown::Targets { view, count: page.count, rows: page.rows };
        match first.filter(|_| single) {
            Some(target) => self.choose(target),
            None => {
                self.show();
                self.prompt();
            }
        }
    }

    fn choose(&mut self, target: Target) {
        let protocol = SERVED.iter().find(|p| target.asset.port(p).is_some());
        match protocol {
            Some(protocol) => {
                self.request = Some(Request::Accounts(target.asset.id, (*protocol).to_owned()));
                self.waiting = Some(Waiting::Accounts { target: Box::new(target), protocol: (*protocol).to_owned() });
            }
            None => {
                let asset = terminal::safe(&target.asset.name);
                self.complain("access.protocol", &[("protocol", "SSH"), ("asset", &asset)]);
            }
        }
    }

    fn connect(&mut self, target: Target, account: AccountAsk, protocol: String) {
        self.request = Some(Request::Choose(Box::new(Choice { target, account, protocol })));
    }

    fn leave(&mut self) {
        self.say("menu.bye", &[]);
        self.request = Some(Request::Leave);
    }

    /// Back to the main prompt.
    fn main(&mut self) {
        self.mode = Mode::Main;
        self.prompt();
    }

    fn refused(&mut self, message: &MessagePair) {
        let sentence = messages::render(self.lang, message);
        self.paragraph(&sentence);
        self.main();
    }

    fn complain(&mut self, code: &str, args: &[(&str, &str)]) {
        self.say(code, args);
        self.prompt();
    }
}

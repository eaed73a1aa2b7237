//! What the menu draws: sentences, lists, the prompt. Nothing here decides anything.

use messages::{Lang, text};

use super::{
    super::{help, table, view::View},
    Menu, Mode, Shown, Target,
};

impl Menu {
    pub(super) fn say(&mut self, code: &str, args: &[(&str, &str)]) {
        let sentence = text(self.lang, code, args);
        self.paragraph(&sentence);
    }

    pub(super) fn paragraph(&mut self, sentence: &str) {
        let lines = table::wrap(&terminal::safe(sentence), self.columns().saturating_sub(1));
        self.lines(&lines);
    }

    pub(super) fn lines(&mut self, lines: &[String]) {
        for line in lines {
            self.out.extend_from_slice(line.as_bytes());
            self.out.extend_from_slice(b"\r\n");
        }
    }

    pub(super) fn prompt(&mut self) {
        let prompt = match &self.mode {
            Mode::Main => "Opt> ".to_owned(),
            Mode::Language => text(self.lang, "menu.prompt_language", &[]) + "> ",
            Mode::Account { picker, .. } => picker.prompt(self.lang),
        };
        self.editor.start(&prompt, matches!(self.mode, Mode::Main), &mut self.out);
    }

    pub(super) fn redraw(&mut self) {
        self.out.extend_from_slice(b"\x1b[H\x1b[2J");
        if matches!((&self.mode, &self.shown), (Mode::Main, Shown::Nothing)) {
            self.banner();
        } else {
            self.show();
        }
        self.editor.draw(&mut self.out);
    }

    /// Draws what the person is looking at.
    pub(super) fn show(&mut self) {
        let columns = self.columns();
        let lines = match &self.mode {
            Mode::Language => table::numbered(columns, (1..).zip(Lang::ALL.map(|l| l.name().to_owned()))),
            Mode::Account { picker, .. } => picker.show(self.lang, columns),
            Mode::Main => match &self.shown {
                Shown::Nothing => Vec::new(),
                Shown::Targets { view, count, rows } => self.target_lines(view, *count, rows),
                Shown::Folders { offset } => self.folder_lines(*offset),
            },
        };
        self.lines(&lines);
    }

    pub(super) fn target_lines(&self, view: &View, count: u64, rows: &[Target]) -> Vec<String> {
        let columns = self.columns();
        if count == 0 {
            let code = if view.is_everything() { "menu.nothing_granted" } else { "menu.nothing_found" };
            return table::wrap(&text(self.lang, code, &[]), columns.saturating_sub(1));
        }
        let fitting = rows.get(..usize::from(self.page_size()).min(rows.len())).unwrap_or_default();
        let mut lines = table::targets(self.lang, columns, view.offset + 1, fitting);
        let (from, to) = (view.offset + 1, view.offset + fitting.len() as u64);
        lines.extend(table::wrap(
            &text(self.lang, "menu.page", &[("from", &from.to_string()), ("to", &to.to_string()), ("count", &count.to_string())]),
            columns.saturating_sub(1),
        ));
        lines.extend(table::wrap(&text(self.lang, "menu.hint_list", &[]), columns.saturating_sub(1)));
        lines
    }

    pub(super) fn folder_lines(&self, offset: usize) -> Vec<String> {
        let columns = self.columns();
        if self.folders.is_empty() {
            return table::wrap(&text(self.lang, "menu.nothing_granted", &[]), columns.saturating_sub(1));
        }
        let rows = self.folders.iter().enumerate().skip(offset).take(usize::from(self.page_size())).map(|(i, (path, count))| {
            let depth = path.matches('/').count().saturating_sub(1);
            // Only the last part: the indent shows where it hangs.
            let name = path.rsplit('/').next().unwrap_or_default();
            (i as u64 + 1, format!("{}{} ({count})", "  ".repeat(depth.min(16)), terminal::safe(name)))
        });
        let mut lines = table::numbered(columns, rows);
        lines.extend(table::wrap(&text(self.lang, "menu.hint_folders", &[]), columns.saturating_sub(1)));
        lines
    }

    pub(super) fn banner(&mut self) {
        let columns = self.columns();
        let mut lines = table::wrap(&text(self.lang, "menu.welcome", &[("user", &self.user)]), columns.saturating_sub(1));
        lines.push(String::new());
        lines.extend(help::lines(self.lang, columns));
        self.lines(&lines);
    }

    pub(super) fn columns(&self) -> usize {
        usize::from(self.size.0).max(20)
    }

    /// Rows of a list, so that heading, foot and prompt fit on the screen with it.
    pub(super) fn page_size(&self) -> u16 {
        let foot = ["menu.page", "menu.hint_list"].iter().map(|c| table::wrap(&text(self.lang, c, &[]), self.columns().saturating_sub(1)).len()).sum::<usize>();
        // Heading, rule and prompt; one row is left for the line typed before.
        let taken = u16::try_from(foot).unwrap_or(6).saturating_add(4);
        self.size.1.saturating_sub(taken).clamp(3, 200)
    }
}

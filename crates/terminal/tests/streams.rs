//! Scripted byte streams: secrets, hostile output, bounds, redraws.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use proptest::prelude::*;
use terminal::{OUTPUT_MAX, Tracked, Tracker, clean, pad, safe, truncate, width};

/// A conversation: what the person types and the target answers, in order.
enum Step<'a> {
    In(&'a str),
    Out(&'a str),
    /// seconds pass
    Wait(u64),
}
use Step::{In, Out, Wait};

struct Result {
    input: String,
    commands: Vec<(String, String)>,
    all: Vec<Tracked>,
}

fn play(steps: &[Step<'_>]) -> Result {
    let mut tracker = Tracker::new(80, 24);
    let mut now = 0;
    let mut all = Vec::new();
    for step in steps {
        match step {
            In(text) => {
                now += 200_000;
                tracker.input(now, text.as_bytes());
            }
            Out(text) => {
                now += 20_000;
                tracker.output(now, text.as_bytes());
            }
            Wait(seconds) => {
                for _ in 0..*seconds {
                    now += 1_000_000;
                    tracker.tick(now);
                }
            }
        }
        all.extend(tracker.drain());
    }
    tracker.finish(now);
    all.extend(tracker.drain());
    let mut input = Vec::new();
    let mut commands = Vec::new();
    for event in &all {
        match event {
            Tracked::Input { bytes, .. } => input.extend_from_slice(bytes),
            Tracked::Command { text, output, .. } => commands.push((text.clone(), output.clone())),
            Tracked::CommandStarted { .. } => {}
        }
    }
    Result { input: String::from_utf8(input).unwrap(), commands, all }
}

const PROMPT: Step<'_> = Out("\x1b[?2004halice@box:~$ ");

#[test]
fn output_alone_never_makes_a_command() {
    let found = play(&[
        Out("$ rm -rf /\r\n"),
        PROMPT,
        Out("rm -rf /\r\n\x1b[?2004l\r\x1b[?2004halice@box:~$ reboot\r\n\x1b[?2004l\r"),
        Out("\x1b]133;A\x07$ \x1b]133;B\x07halt\r\n\x1b]133;C\x07\x1b]133;D\x07"),
        Wait(3),
    ]);
    assert_eq!(found.commands, []);
}

#[test]
fn what_the_terminal_program_sends_is_not_typing() {
    let found = play(&[
        PROMPT,
        In("\x1b[?62;22c\x1b[12;40R\x1b[<0;10;5M\x1b[<0;10;5m\x1b[M !!\x1b[I\x1b[O\x1b]11;rgb:0000/0000/0000\x07"),
        In("l"),
        Out("l"),
        In("s"),
        Out("s"),
        In("\r"),
        Out("\r\n\x1b[?2004l\rfile\r\n"),
        PROMPT,
    ]);
    assert_eq!(found.commands, [("ls".into(), "file".into())]);
}

#[test]
fn a_secret_typed_slowly_never_leaves_a_trace() {
    let mut steps = vec![PROMPT, In("sudo -i\r"), Out("sudo -i\r\n\x1b[?2004l\r[sudo] password for alice: ")];
    let letters = ["p", "a", "s", "s", "w", "o", "r", "d", " ", "f", "o", "r"];
    for letter in &letters {
        steps.push(In(letter));
        steps.push(Wait(2));
    }
    steps.extend([In("\x7f"), In("\r"), Out("\r\nSorry, try again.\r\n[sudo] password for alice: "), In("Xy7\r"), Out("\r\n"), PROMPT]);
    let found = play(&steps);
    assert_eq!(found.input.matches("********").count(), 2, "{:?}", found.input);
    assert_eq!(found.input.replace("********", "").replace('\x7f', ""), "sudo -i\r\r\r");
    assert_eq!(found.commands.len(), 1);
}

#[test]
fn a_secret_sent_with_the_command_before_any_answer_is_masked() {
    let found =
        play(&[PROMPT, In("sudo id\r"), In("hunter2\r"), Out("sudo id\r\n\x1b[?2004l\r[sudo] password for alice: "), Out("\r\nuid=0\r\n"), PROMPT, Wait(3)]);
    assert!(!found.input.contains("hunter2") && found.input.contains("sudo id"), "{:?}", found.input);
    assert_eq!(found.commands[0].0, "sudo id");
    assert!(!format!("{:?}", found.all).contains("hunter2"));
}

#[test]
fn a_secret_is_masked_when_other_output_comes_while_it_is_typed() {
    let found = play(&[
        PROMPT,
        In("mysql -p\r"),
        Out("mysql -p\r\n\x1b[?2004l\rEnter password: "),
        In("he"),
        Out("kernel: eth0 up\r\n"),
        In("llo1"),
        Out("hello world\r\n"),
        In("\r"),
        Out("\r\nWelcome\r\nmysql> "),
        Wait(2),
    ]);
    assert!(!found.input.contains("he") && !found.input.contains("llo1"), "{:?}", found.input);
}

#[test]
fn bullets_are_not_an_echo() {
    let found = play(&[
        PROMPT,
        In("sudo -i\r"),
        Out("sudo -i\r\n\x1b[?2004l\rpassword: "),
        In("ab"),
        Out("**"),
        In("cd\r"),
        Out("**\r\n# "),
        In("id\r"),
        Out("id\r\nuid\r\n# "),
    ]);
    assert!(!found.input.contains("ab") && !found.input.contains("cd"), "{:?}", found.input);
    assert_eq!(found.commands.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["sudo -i", "id"]);
}

#[test]
fn a_slow_echo_is_waited_for() {
    let found = play(&[PROMPT, In("ec"), In("ho"), Wait(1), Out("ec"), Out("ho"), In(" x"), Out(" x"), In("\r"), Out("\r\n\x1b[?2004l\rx\r\n"), PROMPT]);
    assert_eq!(found.input, "echo x\r");
    assert_eq!(found.commands, [("echo x".into(), "x".into())]);
}

#[test]
fn a_command_is_announced_before_it_ends() {
    let found = play(&[PROMPT, In("sleep 9\r"), Out("sleep 9\r\n\x1b[?2004l\r"), Wait(2)]);
    assert!(
        matches!(&found.all[..], [Tracked::Input { .. }, Tracked::CommandStarted { text, .. }, Tracked::Command { duration_us: None, .. }] if text == "sleep 9"),
        "{:?}",
        found.all
    );
}

#[test]
fn shell_integration_marks_are_used() {
    let found = play(&[
        Out("\x1b]133;A\x07my own prompt says: \x1b]133;B\x07"),
        In("ls -l\r"),
        Out("ls -l\r\n\x1b]133;C\x07total 0\r\n\x1b]133;D;0\x07\x1b]133;A\x07my own prompt says: \x1b]133;B\x07"),
        In("id\r"),
        Out("id\r\n\x1b]133;C\x07me\r\n\x1b]133;D;0\x07\x1b]133;A\x07my own prompt says: \x1b]133;B\x07"),
    ]);
    assert_eq!(found.commands, [("ls -l".into(), "total 0".into()), ("id".into(), "me".into())]);
}

#[test]
fn devices_without_a_shell_are_followed() {
    let found = play(&[
        Out("\r\nUser Access Verification\r\n\r\nRouter>"),
        In("en"),
        Out("en"),
        In("\t"),
        Out("able"),
        In("\r"),
        Out("\r\nPassword: "),
        In("cisco\r"),
        Out("\r\nRouter#"),
        In("show run\r"),
        Out("show run\r\nBuilding configuration...\r\n --More-- "),
        In(" "),
        Out("\r          \rend\r\nRouter#"),
        In("exit\r"),
        Out("exit\r\n"),
    ]);
    assert_eq!(found.commands.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["enable", "show run", "exit"]);
    assert_eq!(found.commands[1].1, "Building configuration...\nend");
    assert!(!found.input.contains("cisco"), "{:?}", found.input);
}

#[test]
fn database_prompts_and_their_continuations() {
    let found = play(&[
        Out("db=> "),
        In("select 1\r"),
        Out("select 1\r\ndb-> "),
        In(";\r"),
        Out(";\r\n ?column?\r\n(1 row)\r\n\r\ndb=> "),
        In("\\q\r"),
        Out("\\q\r\n"),
        Out("mysql> "),
        In("select\r"),
        Out("select\r\n    -> "),
        In("2;\r"),
        Out("2;\r\n2\r\nmysql> "),
    ]);
    assert_eq!(found.commands.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["select 1\n;", "\\q", "select\n2;"]);
}

#[test]
fn long_output_keeps_its_begin_and_end() {
    let mut tracker = Tracker::new(80, 24);
    tracker.output(0, b"\x1b[?2004h$ ");
    tracker.input(300_000, b"make\r");
    tracker.output(400_000, b"make\r\n\x1b[?2004l\r");
    for n in 0..100_000 {
        tracker.output(500_000, format!("line {n}\r\n").as_bytes());
    }
    tracker.output(2_500_000, b"\x1b[?2004h$ ");
    let command = tracker.drain().find_map(|e| match e {
        Tracked::Command { output, truncated, duration_us, .. } => Some((output, truncated, duration_us)),
        _ => None,
    });
    let (output, truncated, duration) = command.unwrap();
    assert!(truncated && output.len() <= OUTPUT_MAX);
    assert!(output.starts_with("line 0\nline 1\n") && output.ends_with("line 99999"));
    assert_eq!(duration, Some(2_100_000));
}

#[test]
fn memory_stays_bounded_under_hostile_output() {
    let mut tracker = Tracker::new(80, 24);
    tracker.output(0, b"\x1b[?2004h$ ");
    tracker.input(1, b"x\r");
    for opening in ["", "\x1b]0;", "\x1bP", "\x1b[", "\x1b[1;", "\x1b[38;2;1;2;3m", "e\u{301}", "\x1b[?1049h", "\x1b]133;B\x07"] {
        let block = opening.repeat(1000) + &"7;".repeat(200_000);
        for _ in 0..5 {
            tracker.output(2, block.as_bytes());
            tracker.input(2, block.as_bytes());
        }
        tracker.tick(3_000_000);
        assert!(tracker.drain().map(|e| format!("{e:?}").len()).sum::<usize>() < 20_000_000);
    }
    tracker.output(3, b"\x1b[65535;65535H\x1b[65535S\x1b[65535T\x1b[65535L\x1b[65535M\x1b[65535@\x1b[65535P\x1b[65535X\x1b[65535b\x1b[65535I\x1b[65535Z");
    tracker.resize(0, 0);
    tracker.resize(u16::MAX, u16::MAX);
    tracker.output(4, "界".repeat(3000).as_bytes());
    tracker.resize(1, 1);
    tracker.output(5, "界x".repeat(30).as_bytes());
}

fn redrawn(tracker: &Tracker) -> Tracker {
    let (cols, rows) = tracker.size();
    let mut fresh = Tracker::new(cols, rows);
    fresh.output(0, &tracker.keyframe());
    fresh
}

#[test]
fn a_keyframe_shows_what_the_screen_showed() {
    let mut tracker = Tracker::new(30, 6);
    tracker.output(
        0,
        "\x1b]2;title 标题\x07one\r\n\x1b[1;31mred\x1b[0m 中文 e\u{301}\r\n\x1b[48;5;17m\x1b[K\x1b[38;2;9;8;7mrgb\x1b[m\x1b[2;4r\x1b[?25l\x1b[3;30Hx"
            .as_bytes(),
    );
    let again = redrawn(&tracker);
    assert_eq!(again.screen_text(), tracker.screen_text());
    assert_eq!(again.keyframe(), tracker.keyframe());
    tracker.output(0, b"\x1b[?1049h\x1b[5;5Hfull screen\x1b[?2004h");
    let mut again = redrawn(&tracker);
    assert!(again.alternate_screen());
    assert_eq!(again.keyframe(), tracker.keyframe());
    again.output(0, b"\x1b[?1049l");
    tracker.output(0, b"\x1b[?1049l");
    assert_eq!(again.screen_text(), tracker.screen_text());
}

#[test]
fn cleaned_output_reads_as_it_was_shown() {
    assert_eq!(clean(b"a\x1b[31mb\x1b[0mc\r\n\x1b]0;t\x07d"), "abc\nd");
    assert_eq!(clean(b"10%\r20%\r100%\r\ndone"), "100%\ndone");
    assert_eq!(clean(b"abc\x08\x08XY\r\n"), "aXY\n");
    assert_eq!(clean("中文\x1b[1D字".as_bytes()), "中字");
    assert_eq!(clean(b"loading...\r\x1b[Kready"), "ready");
    assert_eq!(clean(b"bad \xff\xfe utf"), "bad \u{fffd}\u{fffd} utf");
    assert_eq!(clean(b"\x1bPq#0;2;0;0;0\x1b\\after\x1b_x\x1b\\"), "after");
}

#[test]
fn names_are_made_harmless_and_counted_in_columns() {
    assert_eq!(safe("a\x1b[2Jb\u{202e}c\u{200b}中"), "a\\u{1b}[2Jb\\u{202e}c\\u{200b}中");
    assert_eq!(width("ab中文"), 6);
    assert_eq!(truncate("数据库服务器", 7), "数据库…");
    assert_eq!(truncate("short", 7), "short");
    assert_eq!(pad("中", 5), "中   ");
    assert_eq!(width(&pad("很长的名字很长的名字", 9)), 9);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[ -~]{1,12}".prop_map(String::into_bytes),
        1 => "[中文🚀e\u{301}ä]{1,6}".prop_map(String::into_bytes),
        3 => proptest::sample::select(vec![
            "\r\n", "\n", "\r", "\x08", "\t", "\x1b[K", "\x1b[J", "\x1b[2J", "\x1b[H", "\x1b[A", "\x1b[B", "\x1b[5C", "\x1b[3D", "\x1b[1P", "\x1b[2@", "\x1b[2L",
            "\x1b[3M", "\x1b[2;5r", "\x1b[r", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?2004h", "\x1b[?2004l", "\x1b7", "\x1b8", "\x1bM", "\x1bc", "\x1b[7m", "\x1b[0m",
            "\x1b[44m", "\x1b[?7l", "\x1b[?7h", "\x1b[4h", "\x1b[4l", "\x1b]133;A\x07", "\x1b]133;B\x07", "\x1b]133;D\x07", "\x1b[?6h", "\x1b[?6l", "\x1b(0", "\x1b(B", "$ ", "^C",
            "\x1b[9b",
        ]).prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_order_are_survived(steps in proptest::collection::vec((0..6u8, piece()), 0..60), cols in 0..90u16, rows in 0..30u16) {
        let mut tracker = Tracker::new(cols, rows);
        for (n, (kind, bytes)) in steps.iter().enumerate() {
            let at = n as u64 * 300_000;
            match kind {
                0 | 1 => tracker.input(at, bytes),
                2 => tracker.resize(u16::from(bytes.first().copied().unwrap_or(3)), u16::from(bytes.last().copied().unwrap_or(3)) / 4),
                3 => tracker.tick(at),
                _ => tracker.output(at, bytes),
            }
            let _ = (tracker.keyframe(), tracker.current_line(), tracker.at_prompt());
        }
        tracker.finish(u64::MAX);
        let _ = tracker.drain().count();
    }

    #[test]
    fn how_the_output_is_cut_does_not_matter(pieces in proptest::collection::vec(piece(), 1..40), cut in 1..7usize) {
        let all = pieces.concat();
        let (mut whole, mut parts) = (Tracker::new(40, 10), Tracker::new(40, 10));
        whole.output(0, &all);
        all.chunks(cut).for_each(|c| parts.output(0, c));
        prop_assert_eq!(whole.keyframe(), parts.keyframe());
        prop_assert_eq!(clean(&all), clean(&all));
    }

    #[test]
    fn a_keyframe_of_any_screen_redraws_it(pieces in proptest::collection::vec(piece(), 1..40)) {
        let mut tracker = Tracker::new(40, 10);
        tracker.output(0, &pieces.concat());
        let again = redrawn(&tracker);
        prop_assert_eq!(again.screen_text(), tracker.screen_text());
        prop_assert_eq!(again.alternate_screen(), tracker.alternate_screen());
    }

    #[test]
    fn no_part_of_an_unseen_secret_is_recorded(
        secret in "[A-Z0-9]{6,16}", gaps in proptest::collection::vec(0..3u8, 16), noise in proptest::collection::vec("[a-z .:]{0,12}(\r\n)?", 16), early in any::<bool>(),
    ) {
        // upper case and digits appear nowhere else, so that any one of them is a leak
        let mut tracker = Tracker::new(80, 24);
        let mut now = 0;
        tracker.output(now, b"\x1b[?2004halice@box:~$ ");
        now += 300_000;
        tracker.input(now, b"sudo -i\r");
        if !early {
            tracker.output(now + 1000, b"sudo -i\r\n\x1b[?2004l\rpassword: ");
        }
        for (n, letter) in secret.bytes().enumerate() {
            now += 150_000;
            tracker.input(now, &[letter]);
            match gaps[n] {
                0 => tracker.output(now + 10, noise[n].as_bytes()),
                1 => { now += 1_500_000; tracker.tick(now); }
                _ => {}
            }
        }
        if early {
            tracker.output(now + 1000, b"sudo -i\r\n\x1b[?2004l\rpassword: ");
        }
        tracker.input(now + 2000, b"\r");
        tracker.output(now + 3000, b"\r\n\x1b[?2004hroot@box:~# ");
        tracker.input(now + 500_000, b"id\r");
        tracker.output(now + 600_000, b"id\r\n\x1b[?2004l\ruid\r\n\x1b[?2004hroot@box:~# ");
        tracker.tick(now + 5_000_000);
        tracker.finish(now + 6_000_000);
        for event in tracker.drain() {
            let text = match event {
                Tracked::Input { bytes, .. } => String::from_utf8_lossy(&bytes).into_owned(),
                Tracked::CommandStarted { text, .. } => text,
                Tracked::Command { text, output, .. } => text + &output,
            };
            prop_assert!(!text.contains(|c: char| c.is_ascii_uppercase() || c.is_ascii_digit()), "{:?}", text);
        }
    }
}

#[test]
fn a_prompt_that_comes_in_pieces_cuts_nothing_off_the_output() {
    let found = play(&[
        PROMPT,
        In("printf x\r"),
        Out("printf x\r\n\x1b[?2004l\rno line feed\x1b[?2004h"),
        Out("ali"),
        Out("ce@box:~$ "),
        In("id\r"),
        Out("id\r\n\x1b[?2004l\ruid=0\r\n"),
        PROMPT,
    ]);
    assert_eq!(found.commands, [("printf x".into(), "no line feed".into()), ("id".into(), "uid=0".into())]);
}

//! zsh, fish, dash, vi mode, root shells, multiplexers.

use crate::pty::{Person, same};
use std::path::Path;

const UP: &str = "\x1b[A";

fn zsh(home: &Path, rc: &str) -> Person {
    std::fs::write(home.join(".zshrc"), format!("HISTFILE=\nHISTSIZE=100\nunsetopt beep\n{rc}\n")).unwrap();
    Person::start(&["zsh", "-i"], &[("SHELL", "/bin/zsh")], home, 80, 24)
}

/// Interactions that zsh and bash share.
fn common(p: &mut Person) -> Vec<String> {
    let mut truth: Vec<String> = Vec::new();
    let mut ran = |text: &str| truth.push(text.to_owned());
    p.run("echo one");
    ran("echo one");
    p.keys(UP);
    p.enter();
    ran("echo one");
    p.run("echo two words   here");
    ran("echo two words   here");
    p.keys("\x12one");
    p.rest(100);
    p.enter();
    ran("echo one");
    p.keys("echo wrong word\x17right");
    p.enter();
    ran("echo wrong right");
    p.keys("cho front\x01e\x05 back");
    p.enter();
    ran("echo front back");
    p.run("echo 你好,世界");
    ran("echo 你好,世界");
    p.keys("echo abandoned\x03");
    p.wait_prompt();
    p.send("\x1b[200~echo pasted one\necho pasted two\x1b[201~");
    p.wait_quiet(80);
    p.enter();
    ran("echo pasted one\necho pasted two");
    for line in ["cat <<END", "first line", "  second $HOME", "END"] {
        p.run(line);
    }
    ran("cat <<END\nfirst line\n  second $HOME\nEND");
    let long = format!("echo {}", "abcdefghi ".repeat(30).trim_end());
    p.run(&long);
    ran(&long);
    p.keys(UP);
    p.enter();
    ran(&long);
    p.run("read -s secret");
    ran("read -s secret");
    p.keys("Sesame-77");
    p.enter();
    for line in ["for i in 1 2; do", "echo $i", "done"] {
        p.run(line);
    }
    ran("for i in 1 2; do\necho $i\ndone");
    p.run("echo 'open");
    p.run("quote'");
    ran("echo 'open\nquote'");
    p.send("echo fast\r");
    p.wait_prompt();
    ran("echo fast");
    p.send("echo r1\recho r2\r");
    p.wait_quiet(300);
    p.wait_prompt();
    ran("echo r1");
    ran("echo r2");
    p.keys("vi file.txt\r");
    p.wait_quiet(400);
    p.keys("i% echo not a command\r$ rm -rf /\x1b");
    p.wait_quiet(150);
    p.keys(":wq\r");
    p.wait_prompt();
    ran("vi file.txt");
    p.keys("echo half\x0c");
    p.wait_quiet(80);
    p.keys(" whole\r");
    p.wait_prompt();
    ran("echo half whole");
    p.keys("sleep 60\r");
    p.rest(300);
    p.keys("\x03");
    p.wait_prompt();
    ran("sleep 60");
    p.run("printf 'no newline'");
    ran("printf 'no newline'");
    p.run("echo last");
    ran("echo last");
    truth
}

fn zsh_check(rc: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut p = zsh(home.path(), rc);
    let truth = common(&mut p);
    let found = p.finish();
    same(&found.iter().map(|f| f.0.clone()).collect::<Vec<_>>(), &truth.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!p.input().contains("Sesame"), "{:?}", p.input());
    let output = |text: &str| found.iter().find(|f| f.0 == text).map(|f| f.1.as_str()).unwrap();
    assert_eq!(output("echo one"), "one");
    assert_eq!(output("printf 'no newline'"), "no newline");
    assert_eq!(output("echo 你好,世界"), "你好,世界");
}

#[test]
fn zsh_with_its_own_prompt() {
    zsh_check("");
}

#[test]
fn zsh_with_a_right_prompt_and_two_lines() {
    zsh_check("PROMPT=$'%F{blue}╭─%n %~%f\\n%F{red}❯%f '\nRPROMPT='%F{8}[%?] %T%f'\nbindkey -e");
}

#[test]
fn zsh_whose_prompt_shrinks_when_the_line_is_run() {
    zsh_check(
        "setopt promptsubst\nPROMPT='%n@%m %~ (main) %# '\nbindkey -e\nfunction shrink { PROMPT='❯ '; zle reset-prompt; PROMPT='%n@%m %~ (main) %# '; }\nzle -N zle-line-finish shrink",
    );
}

#[test]
fn zsh_in_vi_mode_with_an_indicator() {
    let home = tempfile::tempdir().unwrap();
    let rc = "bindkey -v\nKEYTIMEOUT=5\nsetopt promptsubst\nM=I\nPROMPT='[$M] %~ %# '\nfunction zle-keymap-select { [[ $KEYMAP = vicmd ]] && M=N || M=I; zle reset-prompt }\nzle -N zle-keymap-select\nfunction zle-line-init { M=I; zle reset-prompt }\nzle -N zle-line-init";
    let mut p = zsh(home.path(), rc);
    p.run("echo one");
    p.keys("echo two three");
    vi(&mut p, "bcwfour");
    p.keys("\x1b");
    p.wait_quiet(150);
    p.enter();
    p.keys("\x1b");
    p.wait_quiet(150);
    p.keys("kk");
    p.enter();
    p.run("echo end");
    same(&p.commands(), &["echo one", "echo two four", "echo one", "echo end"]);
}

fn vi(p: &mut Person, keys: &str) {
    p.wait_quiet(50);
    p.send("\x1b");
    p.wait_quiet(700);
    p.keys(keys);
}

#[test]
fn bash_in_vi_mode() {
    for rc in ["set -o vi\nPS1='\\u@\\h:\\w\\$ '", "set -o vi\nbind 'set show-mode-in-prompt on'\nPS1='\\w \\$ '"] {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("rc"), format!("HISTFILE=\n{rc}\n")).unwrap();
        let rc = home.path().join("rc");
        let mut p = Person::start(&["bash", "--rcfile", rc.to_str().unwrap(), "-i"], &[], home.path(), 80, 24);
        p.run("echo one");
        p.keys("echo two three");
        vi(&mut p, "bcwfour");
        p.enter();
        vi(&mut p, "kk");
        p.enter();
        p.keys("echo gone");
        vi(&mut p, "dd");
        p.keys("iecho typed");
        p.enter();
        p.keys("cho x");
        vi(&mut p, "Ie");
        p.enter();
        p.run("echo end");
        same(&p.commands(), &["echo one", "echo two four", "echo one", "echo typed", "echo x", "echo end"]);
    }
}

fn fish(home: &Path, rc: &str) -> Person {
    std::fs::create_dir_all(home.join(".config/fish")).unwrap();
    std::fs::write(home.join(".config/fish/config.fish"), format!("set -g fish_greeting\n{rc}\n")).unwrap();
    Person::start(&["fish", "-i"], &[], home, 80, 24)
}

fn fish_check(rc: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut p = fish(home.path(), rc);
    p.run("echo one");
    p.run("echo two words here");
    p.keys("echo t");
    p.wait_quiet(150);
    p.enter();
    p.keys(UP);
    p.wait_quiet(100);
    p.keys(UP);
    p.wait_quiet(100);
    p.enter();
    p.keys("echo tw\x1b[C");
    p.wait_quiet(150);
    p.enter();
    p.keys("echo abandoned\x03");
    p.wait_prompt();
    p.run("for i in 1 2");
    p.run("echo $i");
    p.run("end");
    p.run("echo 你好,世界");
    p.send("\x1b[200~echo pasted one\necho pasted two\x1b[201~");
    p.wait_quiet(150);
    p.enter();
    let long = format!("echo {}", "abcdefghi ".repeat(30).trim_end());
    p.run(&long);
    p.keys("cho front\x01e\x05 back");
    p.enter();
    p.run("read -s secret");
    p.keys("Sesame-77");
    p.enter();
    p.run("printf 'no newline'");
    p.keys("vi file.txt\r");
    p.wait_quiet(400);
    p.keys("i% echo not a command\r$ rm -rf /\x1b:wq\r");
    p.wait_prompt();
    p.run("echo last");
    let found = p.finish();
    let wanted = [
        "echo one", "echo two words here", "echo t", "echo two words here", "echo two words here", "for i in 1 2\necho $i\nend", "echo 你好,世界",
        "echo pasted one\necho pasted two", &long, "echo front back", "read -s secret", "printf 'no newline'", "vi file.txt", "echo last",
    ];
    same(&found.iter().map(|f| f.0.clone()).collect::<Vec<_>>(), &wanted);
    assert!(!p.input().contains("Sesame"), "{:?}", p.input());
    let output = |text: &str| found.iter().find(|f| f.0 == text).map(|f| f.1.as_str()).unwrap();
    assert_eq!(output("echo one"), "one");
    assert_eq!(output("printf 'no newline'"), "no newline");
}

#[test]
fn fish_with_its_own_prompt() {
    fish_check("");
}

#[test]
fn fish_with_a_right_prompt() {
    fish_check("function fish_prompt; echo; echo (set_color blue)┌ $USER; echo -n '└❯ '; end\nfunction fish_right_prompt; echo -n right; end");
}

#[test]
fn dash_without_a_line_editor() {
    let home = tempfile::tempdir().unwrap();
    let mut p = Person::start(&["dash", "-i"], &[("PS1", "dash:$ ")], home.path(), 80, 24);
    p.run("echo one");
    p.keys("echo wrong\x7f\x7f\x7f\x7f\x7fright");
    p.enter();
    p.run("echo 你好");
    let long = format!("echo {}", "0123456789".repeat(30));
    p.run(&long);
    p.run(&format!("echo {}", "x".repeat(80 - 7 - 5)));
    p.keys("cat <<END\r");
    p.wait_quiet(80);
    p.keys("in side\r");
    p.wait_quiet(80);
    p.keys("END\r");
    p.wait_prompt();
    p.keys("echo gone\x03");
    p.wait_prompt();
    p.keys("read name\r");
    p.wait_quiet(80);
    p.keys("Bob\r");
    p.wait_prompt();
    p.keys("stty -echo; read s; stty echo\r");
    p.wait_quiet(80);
    p.keys("Sesame-77\r");
    p.wait_prompt();
    p.send("echo p1\recho p2\r");
    p.wait_quiet(200);
    p.run("echo last");
    let found = p.commands();
    let full = format!("echo {}", "x".repeat(80 - 7 - 5));
    same(
        &found,
        &[
            "echo one", "echo right", "echo 你好", &long, &full, "cat <<END\nin side\nEND", "read name", "stty -echo; read s; stty echo", "echo p1", "echo p2",
            "echo last",
        ],
    );
    assert!(!p.input().contains("Sesame"), "{:?}", p.input());
    assert!(p.input().contains("Bob"), "{:?}", p.input());
}

#[test]
fn a_root_shell_behind_a_password() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(
        home.path().join("sudo"),
        "#!/bin/bash\nstty -echo; printf '[sudo] password for alice: '; read -r p; stty echo; echo\nif [ \"$p\" != Sesame-77 ]; then echo Sorry, try again.; exec \"$0\" \"$@\"; fi\nPS1='root@box:~# ' exec bash --norc -i\n",
    )
    .unwrap();
    std::process::Command::new("chmod").arg("+x").arg(home.path().join("sudo")).status().unwrap();
    let mut p = Person::start(&["bash", "--norc", "-i"], &[("PS1", "alice@box:~$ ")], home.path(), 80, 24);
    p.run("echo before");
    p.keys("./sudo -i\r");
    p.wait_for("password for alice:");
    p.keys("Wrong-12");
    p.rest(2500);
    p.keys("3456\r");
    p.wait_for("try again");
    p.wait_quiet(100);
    p.send("Sesame-77\r");
    p.wait_prompt();
    p.run("id -u");
    p.run("sh");
    p.run("echo in sh");
    p.keys("exit\r");
    p.wait_prompt();
    p.keys("exit\r");
    p.wait_prompt();
    // the secret typed before the prompt for it came up
    p.send("./sudo -i\r");
    p.send("");
    p.wait_for("password for alice:");
    p.send("\x1b[200~Sesame-77\x1b[201~");
    p.keys("\x03");
    p.wait_prompt();
    p.run("stty sane");
    p.run("echo after");
    let found = p.commands();
    same(&found, &["echo before", "./sudo -i", "id -u", "sh", "echo in sh", "exit", "exit", "./sudo -i", "stty sane", "echo after"]);
    let input = p.input();
    assert!(!input.contains("Sesame") && !input.contains("Wrong") && !input.contains("3456"), "{input:?}");
    assert!(input.contains("id -u") && input.contains("********"), "{input:?}");
}

#[test]
fn shells_inside_tmux() {
    let home = tempfile::tempdir().unwrap();
    let mut p = Person::start(&["bash", "--norc", "-i"], &[("PS1", "alice@box:~$ ")], home.path(), 80, 24);
    p.run("echo before");
    p.keys("tmux -f /dev/null new -s work 'PS1=\"in@tmux:~$ \" bash --norc -i'\r");
    p.wait_for("in@tmux");
    p.wait_quiet(200);
    for line in ["echo inside", "seq 40", "ls /"] {
        p.keys(line);
        p.wait_quiet(60);
        p.send("\r");
        p.wait_quiet(250);
    }
    p.keys("echo at the bottom\r");
    p.wait_quiet(250);
    p.keys("vi notes\r");
    p.wait_quiet(500);
    p.keys("i$ echo not a command\rmore\x1b:wq\r");
    p.wait_quiet(400);
    p.keys(UP);
    p.wait_quiet(100);
    p.keys(UP);
    p.wait_quiet(100);
    p.send("\r");
    p.wait_quiet(300);
    p.keys("exit\r");
    p.wait_for("[exited]");
    p.wait_prompt();
    p.run("echo after");
    let found = p.commands();
    same(
        &found,
        &[
            "echo before",
            "tmux -f /dev/null new -s work 'PS1=\"in@tmux:~$ \" bash --norc -i'",
            "echo inside",
            "seq 40",
            "ls /",
            "echo at the bottom",
            "vi notes",
            "echo at the bottom",
            "exit",
            "echo after",
        ],
    );
}

#[test]
fn a_window_that_changes_its_size() {
    let home = tempfile::tempdir().unwrap();
    let mut p = Person::start(&["bash", "--norc", "-i"], &[("PS1", "alice@box:~$ ")], home.path(), 80, 24);
    p.run("echo before");
    p.keys("echo typed at eighty columns and then ");
    p.resize(50, 20);
    p.keys("finished at fifty");
    p.enter();
    p.resize(132, 40);
    p.run("echo wide");
    p.resize(40, 10);
    p.run("seq 30");
    p.keys(UP);
    p.keys(UP);
    p.enter();
    same(&p.commands(), &["echo before", "echo typed at eighty columns and then finished at fifty", "echo wide", "seq 30", "echo wide"]);
}

#[test]
fn a_password_asked_by_python_and_answers_on_a_slow_line() {
    let home = tempfile::tempdir().unwrap();
    let mut p = Person::start(&["bash", "--norc", "-i"], &[("PS1", "alice@box:~$ ")], home.path(), 80, 24);
    p.keys("python3 -c 'import getpass; print(len(getpass.getpass()))'\r");
    p.wait_for("Password:");
    p.keys("Sesame-77\r");
    p.wait_prompt();
    // everything sent at once, before any prompt
    p.send("echo a; sleep 0.3\r");
    p.send("echo b\r");
    p.wait_quiet(500);
    p.wait_prompt();
    p.run("echo c");
    let found = p.finish();
    same(
        &found.iter().map(|f| f.0.clone()).collect::<Vec<_>>(),
        &["python3 -c 'import getpass; print(len(getpass.getpass()))'", "echo a; sleep 0.3", "echo b", "echo c"],
    );
    assert!(!p.input().contains("Sesame"), "{:?}", p.input());
    assert!(p.input().contains("echo b"), "{:?}", p.input());
    assert_eq!(found[0].1, "Password:\n9");
}

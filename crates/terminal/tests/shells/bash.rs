//! Forty interactions with bash, under several prompts and widths.

use crate::pty::{Person, same};
use std::path::Path;

const UP: &str = "\x1b[A";

fn bash(home: &Path, prompt: &str, cols: u16) -> Person {
    bash_with(home, &format!("PS1='{prompt}'\n"), cols)
}

fn bash_with(home: &Path, rc: &str, cols: u16) -> Person {
    let rc = format!("HISTFILE=\nHISTCONTROL=\nbind 'set bell-style none'\n{rc}\n");
    std::fs::write(home.join("rc"), rc).unwrap();
    std::fs::create_dir_all(home.join("completion-target")).unwrap();
    std::fs::write(home.join("completion-target/notes-für-alle.txt"), "x\n").unwrap();
    let rc = home.join("rc");
    Person::start(&["bash", "--rcfile", rc.to_str().unwrap(), "-i"], &[("EDITOR", "vi")], home, cols, 24)
}

/// The forty; gives what bash really ran.
fn forty(p: &mut Person) -> Vec<String> {
    let long = format!("echo {}", "0123456789".repeat(30));
    let mut truth: Vec<String> = Vec::new();
    let mut ran = |text: &str| truth.push(text.to_owned());
    p.run("echo one");
    ran("echo one");
    p.keys(UP);
    p.enter();
    ran("echo one");
    p.run("echo two words   here");
    ran("echo two words   here");
    p.keys("\x12on");
    p.rest(100);
    p.enter();
    ran("echo one");
    p.keys("echo wrong word\x17right");
    p.enter();
    ran("echo wrong right");
    p.keys("cho front\x01e\x05 back");
    p.enter();
    ran("echo front back");
    p.keys("ls comp\t");
    p.wait_quiet(80);
    p.keys("no\t");
    p.wait_quiet(80);
    p.enter();
    ran("ls completion-target/notes-für-alle.txt");
    p.run("echo 你好,世界");
    ran("echo 你好,世界");
    p.keys("echo 中文文\x7f字");
    p.enter();
    ran("echo 中文字");
    p.keys("echo abandoned\x03");
    p.wait_prompt();
    if p.brackets {
        p.send("\x1b[200~echo pasted one\necho pasted two\x1b[201~");
        p.wait_quiet(80);
        p.enter();
        ran("echo pasted one\necho pasted two");
    } else {
        p.send("echo pasted one\recho pasted two\r");
        p.wait_prompt();
        ran("echo pasted one");
        ran("echo pasted two");
    }
    for line in ["cat <<END", "first line", "", "  second $HOME", "END"] {
        p.run(line);
    }
    ran("cat <<END\nfirst line\n\n  second $HOME\nEND");
    p.run(&long);
    ran(&long);
    p.keys(UP);
    p.keys("\x01\x1b[3~\x1b[3~\x1b[3~\x1b[3~printf %s");
    p.enter();
    ran(&long.replacen("echo", "printf %s", 1));
    p.run("read -s secret");
    ran("read -s secret");
    p.keys("Sesame-77");
    p.enter();
    p.run("read -p 'name? ' name");
    ran("read -p 'name? ' name");
    p.run("Bob");
    p.run("for i in 1 2; do");
    p.run("echo $i");
    p.run("done");
    ran("for i in 1 2; do\necho $i\ndone");
    p.run("echo 'open");
    p.run("quote'");
    ran("echo 'open\nquote'");
    p.run("echo a \\");
    p.run("  b");
    ran("echo a \\\n  b");
    p.run("if true; then");
    p.keys("echo never\x03");
    p.wait_prompt();
    p.run("echo after");
    ran("echo after");
    p.send("echo fast\r");
    p.wait_prompt();
    ran("echo fast");
    p.send("echo r1\recho r2\recho r3\r");
    p.wait_quiet(300);
    p.wait_prompt();
    for n in 1..4 {
        ran(&format!("echo r{n}"));
    }
    p.keys("sleep 0.4\r");
    p.rest(60);
    p.keys("echo ahead\r");
    p.rest(500);
    p.wait_prompt();
    ran("sleep 0.4");
    ran("echo ahead");
    p.keys("vi file.txt\r");
    p.wait_quiet(400);
    p.keys("iroot@host:~$ echo not a command\r$ rm -rf /\x1b");
    p.wait_quiet(150);
    p.keys(":wq\r");
    p.wait_prompt();
    ran("vi file.txt");
    p.keys("less file.txt\r");
    p.wait_quiet(200);
    p.keys("/rm\r");
    p.wait_quiet(150);
    p.keys("q");
    p.wait_prompt();
    ran("less file.txt");
    p.run("cat file.txt");
    ran("cat file.txt");
    p.keys("python3 -q\r");
    p.wait_for(">>>");
    ran("python3 -q");
    p.run("print('in python')");
    ran("print('in python')");
    p.run("for n in [1]:");
    p.run("    print(n)");
    p.run("");
    ran("for n in [1]:\n    print(n)");
    p.keys("exit()\r");
    p.wait_prompt();
    ran("exit()");
    p.keys("echo half");
    p.keys("\x0c");
    p.wait_quiet(80);
    p.keys(" whole\r");
    p.wait_prompt();
    ran("echo half whole");
    p.keys("sleep 60\r");
    p.rest(300);
    p.keys("\x03");
    p.wait_prompt();
    ran("sleep 60");
    p.keys("echo killed line\x15echo new line");
    p.enter();
    ran("echo new line");
    p.keys("echo ab\x1b[D\x1b[DX\x1b[C");
    p.enter();
    ran("echo Xab");
    p.keys("echo completion-target/\t\t");
    p.wait_quiet(80);
    p.enter();
    ran("echo completion-target/notes-für-alle.txt");
    p.keys("unset zz\t\t");
    p.wait_quiet(100);
    p.enter();
    ran("unset zz");
    p.keys("ls --\t\t");
    p.wait_quiet(150);
    p.keys("ver\x17\x15echo listed");
    p.enter();
    ran("echo listed");
    p.run("printf 'no newline'");
    ran("printf 'no newline'");
    p.run("");
    p.run("echo last");
    ran("echo last");
    truth
}

fn check(prompt: &str, cols: u16) {
    let home = tempfile::tempdir().unwrap();
    check_with(bash(home.path(), prompt, cols));
}

fn check_with(mut p: Person) {
    let truth = forty(&mut p);
    let found = p.finish();
    let texts: Vec<String> = found.iter().map(|f| f.0.clone()).collect();
    same(&texts, &truth.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(!p.input().contains("Sesame"), "the secret was recorded: {:?}", p.input());
    assert!(p.input().contains("echo two words"), "plain input is recorded: {:?}", p.input());
    let output = |text: &str| found.iter().find(|f| f.0 == text).map(|f| f.1.as_str()).unwrap();
    if String::from_utf8_lossy(&p.seen).contains("]0;title") {
        // what PROMPT_COMMAND prints cannot be told from the command's own output
        return;
    }
    assert_eq!(output("echo one"), "one");
    assert_eq!(output("echo 你好,世界"), "你好,世界");
    assert_eq!(output("printf 'no newline'"), "no newline");
    assert_eq!(output("print('in python')"), "in python");
    assert_eq!(output("cat file.txt"), "root@host:~$ echo not a command\n$ rm -rf /");
    assert_eq!(output("vi file.txt"), "");
}

#[test]
fn forty_interactions_with_a_plain_prompt() {
    check(r"\u@\h:\w\$ ", 80);
}

#[test]
fn forty_interactions_with_colours_and_wide_signs() {
    check(r"\[\e[1;32m\]用户@主机\[\e[0m\] 🚀 \w \$ ", 80);
}

#[test]
fn forty_interactions_with_two_lines() {
    check(r"\[\e]0;\w\a\]\n\[\e[35m\]┌─[\u@\h]-[\t]\[\e[0m\]\n└─\$ ", 132);
}

#[test]
fn forty_interactions_on_a_narrow_terminal() {
    check(r"[\u@\h \W]\$ ", 40);
}

#[test]
fn forty_interactions_without_bracketed_paste() {
    // bash up to 5.0 does not tell when it reads a line
    let home = tempfile::tempdir().unwrap();
    let mut p = bash_with(home.path(), "bind 'set enable-bracketed-paste off'\nPS1='[\\u@\\h \\W]\\$ '", 80);
    p.brackets = false;
    check_with(p);
}

#[test]
fn forty_interactions_of_a_script() {
    let home = tempfile::tempdir().unwrap();
    let mut p = bash(home.path(), r"\u@\h:\w\$ ", 80);
    p.hasty = true;
    check_with(p);
}

#[test]
fn forty_interactions_with_a_target_far_away() {
    let home = tempfile::tempdir().unwrap();
    let mut p = bash(home.path(), r"\u@\h:\w\$ ", 80);
    p.move_away(150);
    check_with(p);
}

#[test]
fn forty_interactions_with_a_prompt_that_is_redrawn() {
    let home = tempfile::tempdir().unwrap();
    let rc = r#"draw() { printf '\r\033[K\033]0;title\a\033[33m%s\033[0m\n' "$PWD"; }
PROMPT_COMMAND=draw
PS1='(main) ➜  '"#;
    check_with(bash_with(home.path(), rc, 80));
}

#[test]
fn rarer_keys_and_programs() {
    let home = tempfile::tempdir().unwrap();
    let mut p = bash(home.path(), r"\u@\h:\w\$ ", 80);
    let mut truth: Vec<String> = Vec::new();
    let mut ran = |text: &str| truth.push(text.to_owned());
    p.run("echo alpha beta");
    ran("echo alpha beta");
    p.run("sudo() { \"$@\"; }");
    ran("sudo() { \"$@\"; }");
    p.run("echo gamma");
    ran("echo gamma");
    p.run("sudo !!");
    ran("sudo echo gamma");
    p.run("!echo:s/gamma/delta/");
    ran("echo delta");
    p.keys("echo \x1b.");
    p.enter();
    ran("echo delta");
    p.keys("\x12alph\x07");
    p.wait_quiet(60);
    p.keys("echo after cancel");
    p.enter();
    ran("echo after cancel");
    p.keys("\x12alph");
    p.wait_quiet(60);
    p.keys("\x1b[C\x05 more");
    p.enter();
    ran("echo alpha beta more");
    p.keys("echo cut this\x17\x17\x19\x1b[D");
    p.enter();
    ran("echo cut this");
    p.run("for i in 1 2; do");
    p.run("echo $i; done");
    ran("for i in 1 2; do\necho $i; done");
    p.keys(UP);
    p.enter();
    ran("for i in 1 2; do echo $i; done");
    p.keys("echo tab\x16\tbed");
    p.enter();
    ran("echo tab     bed");
    let block: String = (1..=40).map(|n| format!("echo line number {n} of a pasted block\n")).collect();
    p.send(format!("\x1b[200~{block}\x1b[201~"));
    p.wait_quiet(150);
    p.enter();
    ran(block.trim_end());
    p.run("clear");
    ran("clear");
    p.run("echo x | tee f | cat -n");
    ran("echo x | tee f | cat -n");
    p.run("(sleep 0.3; echo from behind) &");
    p.rest(500);
    p.run("echo and on");
    ran("(sleep 0.3; echo from behind) &");
    ran("echo and on");
    p.keys("vi f\r");
    p.wait_quiet(300);
    p.keys("\x1a");
    p.wait_prompt();
    ran("vi f");
    p.keys("fg\r");
    p.wait_quiet(300);
    p.keys(":q\r");
    p.wait_prompt();
    ran("fg");
    p.keys("man man\r");
    p.wait_quiet(700);
    p.keys("q");
    p.wait_prompt();
    ran("man man");
    p.keys("top -n 1 -b | head -3\r");
    p.wait_prompt();
    ran("top -n 1 -b | head -3");
    p.keys("cat\r");
    p.wait_quiet(80);
    p.keys("not a command\r");
    p.wait_quiet(80);
    p.keys("rm -rf /\r\x04");
    p.wait_prompt();
    ran("cat");
    p.run("set -x");
    ran("set -x");
    p.run("echo traced");
    ran("echo traced");
    p.run("set +x");
    ran("set +x");
    p.keys("echo edited in the edit");
    p.send("\x18\x05");
    p.wait_quiet(500);
    p.keys("Aor\x1b:wq\r");
    p.wait_prompt();
    ran("echo edited in the editor");
    p.run("PS1='changed> '");
    ran("PS1='changed> '");
    p.run("echo new prompt");
    ran("echo new prompt");
    p.run("PS1='> '");
    ran("PS1='> '");
    p.run("echo like a continuation");
    ran("echo like a continuation");
    p.run("echo second");
    ran("echo second");
    p.run("PS1=");
    ran("PS1=");
    p.keys("echo no prompt\r");
    p.wait_quiet(200);
    ran("echo no prompt");
    p.keys("sh\r");
    p.wait_quiet(200);
    ran("sh");
    p.keys("PS1='sh! '\r");
    p.wait_quiet(100);
    ran("PS1='sh! '");
    p.keys("echo in sh\r");
    p.wait_quiet(100);
    ran("echo in sh");
    let found: Vec<String> = p.commands();
    same(&found, &truth.iter().map(String::as_str).collect::<Vec<_>>());
}

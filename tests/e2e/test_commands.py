"""Commands are recognised from what the shell really ran, whatever the line editing; typed secrets are not among them."""

import secrets

import pytest
from harness.screen import Screen
from harness.wait import until

UP, CTRL_A, CTRL_E, CTRL_W, CTRL_R, CTRL_C, CTRL_U = "\x1b[A", "\x01", "\x05", "\x17", "\x12", "\x03", "\x15"


def recorded(house, session, count):
    """The commands of a session, oldest first, once there are enough."""

    def enough():
        rows = [r for r in house.admin.commands(session_id=session) if str(r.get("session")) == session]
        rows.sort(key=lambda r: (r["timestamp"], r.get("offset_ms") or 0))
        return rows if len(rows) >= count else None

    return until(enough, f"{count} commands of session {session}", 15)


class Typist:
    """A person at a prompt: types keys, waits until the shell has answered."""

    def __init__(self, house, rows=24, columns=80):
        self.house = house
        before = {s["id"] for s in house.admin.sessions()}
        self.screen = Screen(house.door.spawn(rows=rows, columns=columns), rows, columns)
        self.screen.wait_for("$ ")
        self.session = until(lambda: [s["id"] for s in house.admin.sessions() if s["id"] not in before], "the session row")[0]
        self.count = 0

    def type(self, keys, answer=None):
        """Sends keys and Enter; waits for `answer` or, without one, for a marker printed by a prompt that changes."""
        self.screen.send(keys + "\r")
        if answer is not None:
            self.screen.wait_for(answer)

    def close(self):
        self.screen.close()


@pytest.fixture
def typist(house):
    person = Typist(house)
    yield person
    person.close()


def test_line_editing_history_completion_paste_and_wide_text(house, typist):
    secret = "typed-" + secrets.token_hex(6)
    marker = secrets.token_hex(3)
    folder = f"/tmp/e2e-{marker}"
    wanted = []

    def run(keys, real, answer):
        typist.type(keys, answer)
        wanted.append(real)

    run(f"mkdir {folder}; echo made-$((1+1))", f"mkdir {folder}; echo made-$((1+1))", "made-2")
    run("echo frist" + "\x7f" * 5 + "first-$((1+2))", "echo first-$((1+2))", "first-3")
    run(UP, "echo first-$((1+2))", "first-3")
    run("echo wrong word" + CTRL_W + "words-$((2+2))", "echo wrong words-$((2+2))", "words-4")
    run("second-$((2+3))" + CTRL_A + "echo " + CTRL_E + " end", "echo second-$((2+3)) end", "second-5 end")
    run(f"cd {folder[:-2]}\t && echo in-$((3+3))", f"cd {folder}/ && echo in-$((3+3))", "in-6")
    run("echo 你好世界-$((3+4))", "echo 你好世界-$((3+4))", "你好世界-7")
    typist.screen.send(CTRL_R + "made")
    typist.screen.wait_for("reverse-i-search)`made'")
    typist.screen.send(CTRL_C)
    typist.screen.wait_for("^C")
    run(CTRL_U + "echo eight-$((4+4))", "echo eight-$((4+4))", "eight-8")
    typist.screen.send("echo abandoned")
    typist.screen.wait_for("echo abandoned")
    typist.screen.send(CTRL_C)
    typist.screen.wait_for("abandoned^C")
    run("echo nine-$((4+5))", "echo nine-$((4+5))", "nine-9")
    long = "echo " + "wrapped" * 40 + "-$((5+5))"
    run(long, long, "wrapped-10")
    run("PS1='two\\nlines> '; echo ps-$((5+6))", "PS1='two\\nlines> '; echo ps-$((5+6))", "ps-11")
    run("echo twelve-$((6+6))", "echo twelve-$((6+6))", "twelve-12")
    run("PS1='提示符$ '; echo wide-$((6+7))", "PS1='提示符$ '; echo wide-$((6+7))", "wide-13")
    typist.type("read -s hidden; echo len-${#hidden}")
    wanted.append("read -s hidden; echo len-${#hidden}")
    typist.screen.pump(0.4)
    typist.type(secret, f"len-{len(secret)}")
    run("vim -u NONE -n note", "vim -u NONE -n note", "~")
    typist.screen.send("iinside the editor\x1b:wq\r")
    typist.screen.wait_for("written")
    run("echo last-$((7+8))", "echo last-$((7+8))", "last-15")
    typist.type(f"rm -r {folder}; exit")
    wanted.append(f"rm -r {folder}; exit")

    rows = recorded(house, typist.session, len(wanted))
    found = [r["input"] for r in rows]
    assert found == wanted
    assert secret not in str(rows)
    assert not any("inside the editor" in text for text in found)
    by_input = {r["input"]: r for r in rows}
    assert "你好世界-7" in by_input["echo 你好世界-$((3+4))"]["output"]
    assert all(r["remote_addr"].startswith("127.0.0.1") for r in rows)


def test_pasted_blocks_and_here_documents(house, typist):
    mark = secrets.token_hex(3)
    typist.screen.send(f"echo a-{mark}\recho b-{mark}\recho c-{mark}-$((1+1))\r")
    typist.screen.wait_for(f"c-{mark}-2")
    typist.type(f"cat <<END\rline one {mark}\rline two\rEND", "> END\nline one")
    typist.type("echo after-$((2+2))", "after-4")
    typist.type("exit")

    text = "\n".join(r["input"] for r in recorded(house, typist.session, 5))

    for part in (f"echo a-{mark}", f"echo b-{mark}", f"echo c-{mark}-$((1+1))", "cat <<END", f"line one {mark}", "echo after-$((2+2))"):
        assert part in text, text


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(house, typist, shell):
    typist.type(f"{shell} {'-f' if shell == 'zsh' else '--no-config'}")
    typist.screen.pump(1.0)
    typist.screen.send("echo other-(math 40 + 2)\r" if shell == "fish" else "echo other-$((40+2))\r")
    typist.screen.wait_for("other-42")
    typist.screen.send("echo gone" + CTRL_U + "echo kept-one\r")
    typist.screen.wait_for("kept-one")
    typist.screen.send("exit\r")
    typist.screen.wait_for("$ ")
    typist.type("exit")

    found = [r["input"] for r in recorded(house, typist.session, 4)]
    assert any(f.startswith("echo other-") for f in found), found
    assert "echo kept-one" in found, found
    assert not any("gone" in f for f in found), found


def test_an_exec_request_is_one_command_with_its_output(house):
    mark = secrets.token_hex(4)

    house.door.run(f"echo exec-{mark}; echo second")

    rows = until(lambda: [r for r in house.admin.commands() if mark in r["input"]], "the command")
    assert [r["input"] for r in rows] == [f"echo exec-{mark}; echo second"]
    assert f"exec-{mark}" in rows[0]["output"] and "second" in rows[0]["output"]


def test_commands_typed_in_a_root_shell_and_an_interpreter(house, typist):
    mark = secrets.token_hex(3)
    typist.type("python3 -q")
    typist.screen.wait_for(">>>")
    typist.type(f"print('py-{mark}')", f"\npy-{mark}")
    typist.type("exit()")
    typist.screen.wait_for("$ ")
    typist.type(f"bash --norc -c 'echo child-{mark}-$((1+1))'", f"child-{mark}-2")
    typist.type("exit")

    found = [r["input"] for r in recorded(house, typist.session, 5)]
    assert "python3 -q" in found
    assert f"print('py-{mark}')" in found, found


def test_the_list_on_the_command_line(house):
    mark = secrets.token_hex(4)
    house.door.run(f"echo ls-{mark}")

    rows = until(lambda: [r for r in house.server.ls("commands") if mark in str(r)], "the command in `rampart ls`")

    assert rows[0]["input"] == f"echo ls-{mark}"

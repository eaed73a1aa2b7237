"""Other people's clients and full-screen programs, through Rampart to the real machine."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import asyncssh
import paramiko
import pytest
from harness.door import environment
from harness.screen import Screen
from harness.target import PASSWORD_ACCOUNT
from harness.world import ALICE_PASSWORD

USER = f"alice@{PASSWORD_ACCOUNT}@web1"
BIN = Path(sys.executable).parent


def test_paramiko_with_key_and_with_password(house):
    for credential in ({"key_filename": str(house.alice_key)}, {"password": ALICE_PASSWORD}):
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect("127.0.0.1", house.server.ssh_port, USER, look_for_keys=False, allow_agent=False, timeout=20, **credential)
        try:
            stdin, stdout, stderr = client.exec_command("read line; echo got-$line; echo err >&2; exit 7")
            stdin.write("words\n")
            stdin.flush()
            assert stdout.read() == b"got-words\n"
            assert stderr.read() == b"err\n"
            assert stdout.channel.recv_exit_status() == 7
        finally:
            client.close()


def test_asyncssh_sees_exit_signals_and_resizes(house):
    async def scenario():
        async with asyncssh.connect("127.0.0.1", house.server.ssh_port, username=USER, client_keys=[str(house.alice_key)], known_hosts=None) as c:
            done = await c.run("kill -USR1 $$")
            assert done.exit_signal and done.exit_signal[0] == "USR1", done
            done = await c.run("sleep 1; echo $((6*7)); exit 3", input="")
            assert (done.stdout, done.exit_status) == ("42\n", 3)
            async with c.create_process(term_type="xterm", term_size=(90, 30)) as p:
                p.change_terminal_size(111, 44)
                p.stdin.write("until [ \"$(stty size)\" = '44 111' ]; do sleep 0.1; done; echo size-o''k; exit\n")
                out = await asyncio.wait_for(p.stdout.read(), 20)
                assert "size-ok" in out
            async with c.create_process("trap 'echo got-term; exit 5' TERM; echo ready; while :; do sleep 0.1; done") as p:
                assert await p.stdout.readline() == "ready\n"
                p.send_signal("TERM")
                assert await asyncio.wait_for(p.stdout.readline(), 20) == "got-term\n"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_plink(house):
    argv = ["plink", "-ssh", "-batch", "-pw", ALICE_PASSWORD, "-hostkey", house.server.host_key_fingerprint(), "-P", str(house.server.ssh_port), "-l", USER]

    done = subprocess.run([*argv, "127.0.0.1", "whoami; exit 7"], capture_output=True, timeout=60, env=environment(), stdin=subprocess.DEVNULL)

    assert done.stdout.decode().strip() == PASSWORD_ACCOUNT, done.stderr
    assert done.returncode == 7


def test_dropbears_client(house, tmp_path):
    argv = ["dbclient", "-y", "-y", "-p", str(house.server.ssh_port), "-l", USER, "127.0.0.1", "whoami; exit 7"]

    done = subprocess.run(
        argv, capture_output=True, timeout=60, env=environment(DROPBEAR_PASSWORD=ALICE_PASSWORD, HOME=str(tmp_path)), stdin=subprocess.DEVNULL
    )

    assert done.stdout.decode().strip() == PASSWORD_ACCOUNT, done.stderr
    assert done.returncode == 7


@pytest.mark.parametrize(("module", "arguments", "wanted"), [("ping", "", "pong"), ("shell", "echo $((40+2)); id -un", "42")])
def test_ansible_with_pipelining(house, tmp_path, module, arguments, wanted):
    inventory = tmp_path / "inventory.json"
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": house.server.ssh_port,
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(house.alice_key),
        "ansible_ssh_common_args": "-F /dev/null -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_pipelining": True,
    }
    inventory.write_text(json.dumps({"all": {"hosts": {"web": host}}}))
    env = environment(PATH=f"{BIN}:{os.environ['PATH']}", HOME=str(tmp_path), ANSIBLE_PIPELINING="True", LANG="C.UTF-8", LC_ALL="C.UTF-8")

    done = subprocess.run(
        [str(BIN / "ansible"), "-i", str(inventory), "all", "-m", module, "-a", arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env=env,
        stdin=subprocess.DEVNULL,
    )

    assert done.returncode == 0 and wanted in done.stdout, done.stdout + done.stderr


@pytest.fixture
def shell(house):
    screen = Screen(house.door.spawn(rows=30, columns=100), 30, 100)
    screen.wait_for("$ ")
    yield screen
    screen.close()


def test_vim_edits_a_file(house, shell):
    name = f"/tmp/rampart-e2e-{os.getpid()}.txt"
    shell.line(f"vim -u NONE -n {name}")
    shell.wait_for("~")
    shell.send("ihello from vim\x1b:wq\r")
    shell.wait_for("written")
    shell.line(f"cat {name}; rm {name}; echo wc-d''one")
    shown = shell.wait_for("wc-done")

    assert "hello from vim" in shown


def test_htop_draws_and_follows_a_resize(house, shell):
    shell.line("htop")
    shell.wait_for("F10")
    shell.resize(40, 120)
    shell.pump(1)
    shell.send("q")
    shell.wait_gone("F10")
    shell.line("echo back-in-the-sh''ell")

    shell.wait_for("back-in-the-shell")


def test_tmux_runs_inside(house, shell):
    name = f"e2e{os.getpid()}"
    shell.line(f"tmux -u -f /dev/null -L {name} new -s {name}")
    shell.wait_for(f"[{name}]")
    shell.line("echo inside-$((1+1))")
    shell.wait_for("inside-2")
    shell.send("\x02%")
    shell.wait_for("│")
    shell.line(f"tmux -L {name} kill-server")
    shell.wait_gone(f"[{name}]")
    shell.line("stty size")

    shell.wait_for("30 100")

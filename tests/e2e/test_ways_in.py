"""How a person names the target: every form of the user name, by name, by address, and through the menu."""

import re
import secrets
import subprocess

import pytest
from harness.door import said
from harness.screen import Screen
from harness.target import INTERACTIVE_ACCOUNT, KEY_ACCOUNT, PASSWORD_ACCOUNT
from harness.wait import until

FORMS = [
    f"alice@{PASSWORD_ACCOUNT}@web1",
    f"alice#{PASSWORD_ACCOUNT}#web1",
    f"alice:{PASSWORD_ACCOUNT}@web1",
    f"alice@{PASSWORD_ACCOUNT}@127.0.0.1",
    f"alice#{PASSWORD_ACCOUNT}#127.0.0.1",
    f"alice:{PASSWORD_ACCOUNT}@127.0.0.1",
    "alice:web2",
    "alice:127.0.0.2",
    f"ALICE@{PASSWORD_ACCOUNT}@web1",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_user_name_reaches_the_account(house, form):
    done = house.door.as_user(form).run("whoami")

    assert done.stdout.decode().strip() == PASSWORD_ACCOUNT, said(done)
    assert done.returncode == 0


def test_the_asset_can_be_named_by_the_start_of_its_id(house):
    asset = house.admin.named("/api/v1/assets/assets/", "web1")

    done = house.door.as_user(f"alice@{PASSWORD_ACCOUNT}@{asset['id'][:8]}").run("whoami")

    # Ids made in the same minute share their first digits: then the answer is the list of choices.
    if done.returncode:
        assert "web1" in said(done) and "web2" in said(done)
        done = house.door.as_user(f"alice@{PASSWORD_ACCOUNT}@{asset['id']}").run("whoami")
    assert done.stdout.decode().strip() == PASSWORD_ACCOUNT, said(done)


@pytest.mark.parametrize("account", [PASSWORD_ACCOUNT, KEY_ACCOUNT, INTERACTIVE_ACCOUNT])
def test_accounts_by_password_key_and_keyboard_interactive(each_house, account):
    done = each_house.door.as_user(f"alice@{account}@web1").run("whoami")

    assert done.stdout.decode().strip() == account, said(done)


@pytest.mark.parametrize(
    "kind, options, phrase",
    [("rsa", ["-b", "3072"], ""), ("ecdsa", ["-b", "384"], ""), ("ed25519", [], "a phrase, kept"), ("rsa", ["-m", "PEM", "-b", "2048"], "")],
    ids=["rsa", "ecdsa", "with a passphrase", "old PEM"],
)
def test_accounts_with_every_kind_of_key(house, tmp_path, kind, options, phrase):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *options, "-N", phrase, "-C", "kinds", "-f", str(key)], check=True)
    with open(house.target.folder / "authorized_keys", "a", encoding="ascii") as f:
        f.write(key.with_suffix(".pub").read_text())
    host = f"keys-{secrets.token_hex(3)}"
    passphrase = f", passphrase: {{value: '{phrase}'}}" if phrase else ""
    house.server.apply(
        f"""\
kind: Host
metadata: {{name: {host}}}
spec:
  address: 127.0.0.3
  platform: Linux
  nodes: [/Default/Web]
  protocols: [ssh/{house.target.port}]
  accounts: [{{username: {KEY_ACCOUNT}, secret_type: ssh_key, secret: {{file: {key}}}{passphrase}}}]
""",
        name=f"{host}.yaml",
    )

    done = house.door.as_user(f"alice@{KEY_ACCOUNT}@{host}").run("whoami")

    assert done.stdout.decode().strip() == KEY_ACCOUNT, said(done)


def test_a_login_name_with_an_at_sign_is_read_from_the_right(house):
    key = house.alice_key.with_suffix(".pub").read_text().strip()
    house.server.apply(
        f"""\
kind: User
metadata: {{name: mail@corp.example}}
spec: {{name: Mail, email: mail@corp.example, groups: [ops], public_keys: ["{key}"]}}
""",
        name="mail.yaml",
    )

    for form in (f"mail@corp.example@{PASSWORD_ACCOUNT}@web1", f"mail@corp.example#{PASSWORD_ACCOUNT}#web1"):
        done = house.door.as_user(form).run("whoami")
        assert done.stdout.decode().strip() == PASSWORD_ACCOUNT, said(done)


def test_the_session_row_says_who_where_and_how(house):
    before = {s["id"] for s in house.admin.sessions()}
    house.door.run("echo for-the-row")

    row = until(lambda: [s for s in house.admin.sessions() if s["is_finished"] and s["id"] not in before], "the finished session")[0]
    assert str(row["user"]) == "Alice(alice)"
    assert "web" in str(row["asset"])
    assert "rampart-" in str(row["account"])
    assert str(row["remote_addr"]).startswith("127.0.0.1")


def open_menu(house, rows=24, columns=80, **more):
    return Screen(house.door.as_user("alice").spawn(rows=rows, columns=columns, **more), rows, columns)


def test_the_menu_searches_connects_and_comes_back(house):
    menu = open_menu(house)
    try:
        menu.wait_for(">")
        menu.line("web2")
        # One asset, one account: straight in.
        menu.wait_for("$ ")
        menu.line("echo on-$(whoami)")
        menu.wait_for(f"on-{PASSWORD_ACCOUNT}")
        menu.line("exit")
        menu.wait_for(">")
        menu.line("q")
        until(lambda: (menu.pump() or True) and not menu.child.isalive(), "the menu to end")
    finally:
        menu.close()


def test_the_menu_lists_takes_a_number_and_offers_the_accounts(house):
    menu = open_menu(house)
    try:
        menu.wait_for(">")
        menu.line("p")
        shown = menu.wait_for("web1")
        assert "127.0.0.1" in shown
        number = next(m.group(1) for line in shown.splitlines() if "web1" in line and (m := re.search(r"(\d+)", line)))
        menu.line(number)
        menu.wait_for(KEY_ACCOUNT)
        shown = menu.text()
        choice = next(m.group(1) for line in shown.splitlines() if KEY_ACCOUNT in line and (m := re.search(r"(\d+)", line)))
        menu.line(choice)
        menu.wait_for("$ ")
        menu.line("echo on-$(whoami)")
        menu.wait_for(f"on-{KEY_ACCOUNT}")
        menu.line("exit")
    finally:
        menu.close()


def test_the_menu_speaks_other_languages_and_fits_the_screen(house):
    menu = open_menu(house)
    try:
        menu.wait_for(">")
        menu.line("?")
        menu.pump(0.5)
        assert all(len(line.rstrip()) <= 80 for line in menu.screen.display)
        menu.line("s")
        menu.pump(0.5)
        shown = menu.text()
        choice = next((m.group(1) for line in shown.splitlines() if "中文" in line and (m := re.search(r"(\d+)", line))), None)
        assert choice, f"no language to choose:\n{shown}"
        menu.line(choice)
        menu.line("?")
        until(lambda: (menu.pump() or True) and re.search(r"[\u4e00-\u9fff]{4,}", menu.text()), "Chinese on the screen")
    finally:
        menu.close()


def test_the_menu_shows_the_node_tree_and_wide_names_keep_the_columns(house):
    house.server.apply(
        f"""\
kind: Host
metadata: {{name: 数据库服务器一号}}
spec:
  address: 127.0.0.4
  platform: Linux
  nodes: [/Default/Web/东区]
  protocols: [ssh/{house.target.port}]
  comment: 生产环境
  accounts: [{{username: {PASSWORD_ACCOUNT}, secret: {{value: {house.target.password}}}}}]
""",
        name="wide.yaml",
    )
    menu = open_menu(house)
    try:
        menu.wait_for(">")
        menu.line("g")
        menu.wait_for("Web")
        menu.line("p")
        menu.wait_for("数")
        lines = [line for line in menu.screen.display if "127.0.0." in line]
        # The address column starts in the same cell in every row, whatever the width of the name.
        columns = {column_of(line, "127.0.0.") for line in lines}
        assert len(columns) == 1, lines
        menu.line("数据库")
        menu.wait_for("$ ")
        menu.line("exit")
    finally:
        menu.close()
        house.admin.delete(f"/api/v1/assets/hosts/{house.admin.named('/api/v1/assets/assets/', '数据库服务器一号')['id']}/")


def column_of(line, text):
    """The screen column of `text`; pyte leaves an empty cell behind each wide character, so cells are already columns."""
    from wcwidth import wcswidth

    return wcswidth(line[: line.index(text)])


def test_an_input_account_asks_for_user_and_secret(house):
    house.server.apply(
        """\
kind: AssetPermission
metadata: {name: typed}
spec: {users: [bob], assets: [web2], accounts: ["@INPUT"], protocols: [all], actions: [connect]}
""",
        name="typed.yaml",
    )
    from harness.door import Door
    from harness.world import BOB_PASSWORD

    door = Door(house.server.ssh_port, "bob@@INPUT@web2", password=BOB_PASSWORD)
    screen = Screen(door.spawn())
    try:
        until(lambda: (screen.pump() or True) and re.search(r"(?i)user ?name|login", screen.text()), "the question for the user name")
        screen.line(PASSWORD_ACCOUNT)
        until(lambda: (screen.pump() or True) and re.search(r"(?i)password", screen.text()), "the question for the secret")
        screen.line(house.target.password)
        screen.wait_for("$ ")
        screen.line("echo typed-$(whoami)")
        screen.wait_for(f"typed-{PASSWORD_ACCOUNT}")
        assert house.target.password not in screen.raw
        screen.line("exit")
    finally:
        screen.close()

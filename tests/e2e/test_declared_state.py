"""`rampart apply` and `export`: one file brings a person to a machine; twice changes nothing; a wrong file changes nothing."""

import re

import pytest
import yaml
from harness.target import PASSWORD_ACCOUNT
from harness.world import state


@pytest.fixture
def text(house):
    return state(house.target, house.alice_key.with_suffix(".pub").read_text().strip())


def test_the_example_state_fits_in_forty_lines_without_its_second_machine(text):
    documents = text.split("---\n")
    without_extras = [d for d in documents if "web2" not in d and "bob" not in d]
    assert len("---\n".join(without_extras).splitlines()) <= 40


def test_a_second_apply_says_no_changes(each_house, text):
    again = each_house.server.apply(text)

    assert "no changes" in (again.stdout + again.stderr).lower()


def test_a_dry_run_prints_the_difference_and_changes_nothing(each_house, text):
    before = each_house.server.cli("export").stdout
    changed = text.replace("address: 127.0.0.2", "address: 127.0.0.9") + "---\nkind: UserGroup\nmetadata: {name: planned}\n"

    plan = each_house.server.apply(changed, "--dry-run")

    shown = plan.stdout + plan.stderr
    assert "planned" in shown and "web2" in shown and "127.0.0.9" in shown
    assert "127.0.0.2" in shown, "the plan shows before and after"
    assert each_house.server.cli("export").stdout == before


def test_the_plan_never_prints_a_secret(each_house, text):
    plan = each_house.server.apply(text.replace(each_house.target.password, "Planned-Secret-123"), "--dry-run")

    assert "Planned-Secret-123" not in plan.stdout + plan.stderr
    assert each_house.target.password not in plan.stdout + plan.stderr


@pytest.mark.parametrize(
    ("wrong", "line_of", "field"),
    [
        (
            "kind: UserGroup\nmetadata: {name: fine}\n---\nkind: User\nmetadata: {name: carol}\nspec:\n  name: Carol\n  emial: carol@example.org\n",
            "emial",
            "emial",
        ),
        (
            "kind: UserGroup\nmetadata: {name: fine}\n---\nkind: Host\nmetadata: {name: h}\nspec:\n  address: 10.0.0.1\n  platform: Linuks\n",
            "Linuks",
            "platform",
        ),
        ("kind: UserGroup\nmetadata: {name: fine}\n---\nkind: Hots\nmetadata: {name: h}\n", "Hots", "kind"),
        (
            "kind: UserGroup\nmetadata: {name: fine}\n---\nkind: AssetPermission\nmetadata: {name: p}\nspec:\n  user_groups: [nobody-knows]\n  accounts: ['@ALL']\n",
            "nobody-knows",
            "user_groups",
        ),
        ("kind: UserGroup\nmetadata: {name: fine}\n---\nkind: AssetPermission\nmetadata: {name: p}\nspec:\n  actions: [fly]\n", "fly", "actions"),
        (
            "kind: UserGroup\nmetadata: {name: fine}\n---\nkind: Host\nmetadata: {name: h}\nspec:\n  address: 10.0.0.1\n  platform: Linux\n  protocols: [ssh/99999]\n",
            "99999",
            "protocols",
        ),
        ("kind: UserGroup\nmetadata: {name: fine}\n---\nkind: User\nspec: {name: x}\n", "kind: User\n", "metadata"),
        ("kind: UserGroup\nmetadata: {name: fine}\n---\nkind: Host\nmetadata: {name: h\nspec: [\n", None, None),
    ],
)
def test_a_wrong_file_names_file_line_and_field_and_applies_nothing(each_house, wrong, line_of, field):
    before = each_house.server.cli("export").stdout

    done = each_house.server.apply(wrong, check=False, name="wrong.yaml")

    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert "wrong.yaml" in text
    assert "panicked" not in text
    named = re.search(r"wrong\.yaml:(\d+)|line (\d+)", text)
    assert named, f"no line in: {text}"
    if field:
        assert field in text, text
        line = int(named.group(1) or named.group(2))
        at = wrong[: wrong.rindex(line_of)].count("\n") + 1
        assert abs(line - at) <= 1, f"line {line} named, the fault is on {at}: {text}"
    assert each_house.server.cli("export").stdout == before, "the good document of the file was applied"


def test_all_mistakes_are_reported_at_once(house):
    wrong = "kind: Host\nmetadata: {name: h}\nspec: {address: 10.0.0.1, platform: Linuks}\n---\nkind: Hots\nmetadata: {name: i}\n"

    done = house.server.apply(wrong, check=False)

    text = done.stdout + done.stderr
    assert "Linuks" in text and "Hots" in text


def test_export_can_be_applied_again_and_holds_no_secret(each_house):
    exported = each_house.server.cli("export").stdout

    kinds = {d["kind"] for d in yaml.safe_load_all(exported) if d}
    assert {"User", "UserGroup", "Host", "AssetPermission"} <= kinds
    assert each_house.target.password not in exported
    assert "argon2" not in exported and "PRIVATE KEY" not in exported
    again = each_house.server.apply(exported, name="exported.yaml")
    assert "no changes" in (again.stdout + again.stderr).lower()


def test_prune_removes_only_what_the_files_own(own_house):
    server = own_house.server
    mine = "kind: UserGroup\nmetadata: {name: temporary}\n---\nkind: UserGroup\nmetadata: {name: kept}\n"
    server.apply(mine, name="mine.yaml")
    own_house.admin.ok(own_house.admin.post("/api/v1/users/groups/", {"name": "by-hand"}))

    server.apply("kind: UserGroup\nmetadata: {name: kept}\n", "--prune", name="mine.yaml")

    groups = {g["name"] for g in own_house.admin.rows("/api/v1/users/groups/")}
    assert "temporary" not in groups
    assert {"kept", "by-hand"} <= groups


def test_secrets_come_from_files_and_from_the_environment(own_house):
    server = own_house.server
    server.env["E2E_ACCOUNT_SECRET"] = own_house.target.password
    server.apply(
        f"""\
kind: Host
metadata: {{name: web3}}
spec:
  address: 127.0.0.3
  platform: Linux
  nodes: [/Default/Web]
  protocols: [ssh/{own_house.target.port}]
  accounts: [{{username: {PASSWORD_ACCOUNT}, secret: {{env: E2E_ACCOUNT_SECRET}}}}]
""",
        name="env.yaml",
    )

    assert own_house.door.as_user(f"alice@{PASSWORD_ACCOUNT}@web3").run("echo reached").stdout == b"reached\n"


def test_apply_over_the_network_wants_a_login(house):
    path = house.server.home / "net.yaml"
    path.write_text("kind: UserGroup\nmetadata: {name: net}\n")

    done = house.server.cli("apply", "-f", path, "--server", house.server.url, check=False, data=False)

    assert done.returncode != 0
    assert re.search(r"log ?in|token|authent", done.stdout + done.stderr, re.I)

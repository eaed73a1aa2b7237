"""One-time codes: forced enrolment inside the SSH login, single use, wrong codes refused."""

import re

import pexpect
import pyotp
import pytest
from harness.door import Door, said
from harness.target import PASSWORD_ACCOUNT, keygen
from harness.wait import until

PASSWORD = "Second-Factor-99-x"


@pytest.fixture(scope="module")
def person(house, workplace):
    """Somebody from whom an administrator demands a second factor."""
    key = keygen(workplace / "mfa_key")
    house.server.apply(
        f"""\
kind: User
metadata: {{name: mia}}
spec: {{name: Mia, email: mia@example.org, password: {{value: {PASSWORD}}}, public_keys: ["{key.with_suffix(".pub").read_text().strip()}"], mfa_level: forced}}
---
kind: AssetPermission
metadata: {{name: mia}}
spec: {{users: [mia], assets: [web2], accounts: ["@ALL"], protocols: [all], actions: [connect]}}
""",
        name="mfa.yaml",
    )
    return Door(house.server.ssh_port, f"mia@{PASSWORD_ACCOUNT}@web2", key)


def enrol(door):
    """Walks the enrolment, returns the seed and the rest of the conversation."""
    child = door.spawn("echo IN-$((40+2))", rows=60, columns=120, env={"LANG": "C.UTF-8"})
    child.expect(r"key ([A-Z2-7 ]{16,})\)", timeout=20)
    seed = child.match.group(1).replace(" ", "")
    shown = child.before
    child.expect(r"(?i)code: ?$|code[^\n]*: ?$")
    shown += child.before
    child.sendline(pyotp.TOTP(seed).now())
    child.expect_exact("IN-42")
    child.expect_exact(pexpect.EOF)
    child.close()
    return seed, shown


def next_code(seed):
    """A code of a step that was not used yet."""
    totp = pyotp.TOTP(seed)
    used = totp.now()
    return until(lambda: (code := totp.now()) != used and code, "the next time step", 35, every=0.2)


def test_enrolment_then_codes_then_wrong_and_repeated_codes(house, person):
    seed, shown = enrol(person)
    assert re.search("[█▀▄]{6,}", shown), "a QR code drawn in text"

    child = person.spawn("echo IN-$((40+2))")
    child.expect(r"(?i)code[^\n]*: ?$")
    code = next_code(seed)
    child.sendline(code)
    child.expect_exact("IN-42")
    child.expect_exact(pexpect.EOF)

    head = house.audit_head()
    child = person.spawn("echo IN-$((40+2))")
    child.expect(r"(?i)code[^\n]*: ?$")
    child.sendline(code)
    found = child.expect([r"(?i)wrong or was used", "IN-42", pexpect.EOF])
    assert found == 0, child.before
    child.sendline("000000")
    child.close(force=True)
    until(lambda: [e for e in house.audit_since(head) if "mia" in str(e) and "login" in e["kind"]], "an audit entry of the failure")

    # The same over the API: the password alone is not enough.
    answer = house.server.api().post("/api/v1/authentication/auth/", {"username": "mia", "password": PASSWORD})
    assert answer.status_code in (400, 401, 403)
    assert "mfa" in answer.text.lower() or "otp" in answer.text.lower(), answer.text
    assert "token" not in answer.json()


def test_a_key_alone_never_opens_an_account_with_a_second_factor(person):
    done = person.run("echo REACHED", options=["BatchMode=yes", "PreferredAuthentications=publickey"])

    assert b"REACHED" not in done.stdout
    assert done.returncode == 255, said(done)


def test_an_offered_but_unproven_key_gets_nobody_in(house, workplace):
    stranger = keygen(workplace / "stranger_key")

    done = Door(house.server.ssh_port, f"alice@{PASSWORD_ACCOUNT}@web1", stranger).run("echo REACHED", options=["BatchMode=yes"])

    assert b"REACHED" not in done.stdout
    assert done.returncode == 255

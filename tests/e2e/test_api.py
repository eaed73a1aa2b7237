"""The HTTP interface: JumpServer's shapes, and every route against {nobody, wrong organization, wrong role, right role}."""

import re
import uuid

import pytest
from harness.wait import until
from harness.world import ALICE_PASSWORD, BOB_PASSWORD

MISSING = str(uuid.UUID(int=0x7777))


@pytest.fixture(scope="module")
def spec(house):
    return house.admin.ok(house.admin.get("/api/openapi.json"))


# Credentials


def test_login_gives_a_bearer_token(house):
    answer = house.server.api().post("/api/v1/authentication/auth/", {"username": "alice", "password": ALICE_PASSWORD})

    body = answer.json()
    assert answer.status_code in (200, 201)
    assert body["keyword"] == "Bearer" and body["token"]
    assert body["user"]["username"] == "alice"
    assert "date_expired" in body


def test_a_wrong_password_is_a_typed_error(house):
    answer = house.server.api().post("/api/v1/authentication/auth/", {"username": "bob", "password": "wrong-wrong-wrong"})

    assert answer.status_code in (400, 401)
    assert "code" in answer.json() or "error" in answer.json() or "detail" in answer.json()


@pytest.mark.parametrize(
    "header", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Token nonsense"}, {"Authorization": "Basic YTpi"}, {"Cookie": "jms_sessionid=x"}]
)
def test_without_a_valid_credential_nothing_is_shown(house, header):
    api = house.server.api()

    answer = api.call("GET", "/api/v1/users/users/", headers=header)

    assert answer.status_code == 401
    assert "detail" in answer.json()


def test_a_client_sent_address_is_not_believed(house):
    api = house.server.api()
    api.session.headers["X-Forwarded-For"] = "203.0.113.9"

    api.post("/api/v1/authentication/auth/", {"username": "forwarded-for", "password": "wrong-wrong-wrong"})

    row = until(lambda: [r for r in house.admin.rows("/api/v1/audits/login-logs/") if r["username"] == "forwarded-for"], "the login log")[0]
    assert row["ip"].startswith("127.0.0.1")


# Shapes


def test_pages_have_count_next_previous_results(house):
    page = house.admin.ok(house.admin.get("/api/v1/assets/assets/", limit=1, offset=0))

    assert set(page) >= {"count", "next", "previous", "results"}
    assert page["count"] >= 2 and len(page["results"]) == 1
    assert page["previous"] is None and "offset=1" in page["next"]
    following = house.admin.call("GET", "/" + page["next"].split("/", 3)[-1] if "://" in page["next"] else page["next"])
    assert house.admin.ok(following)["results"][0]["id"] != page["results"][0]["id"]


def test_search_filter_and_order(house):
    api = house.admin

    assert [a["name"] for a in api.rows("/api/v1/assets/assets/", search="web2")] == ["web2"]
    assert [a["name"] for a in api.rows("/api/v1/assets/assets/", name="web1")] == ["web1"]
    names = [a["name"] for a in api.rows("/api/v1/assets/assets/", order="-name")]
    assert names == sorted(names, reverse=True)
    assert api.get("/api/v1/assets/assets/", order="org_id; drop table", limit=10).status_code in (200, 400)


def test_objects_are_found_by_id_and_by_name(house):
    asset = house.admin.named("/api/v1/assets/assets/", "web1")

    by_id = house.admin.ok(house.admin.get(f"/api/v1/assets/hosts/{asset['id']}/"))
    by_name = house.admin.ok(house.admin.get("/api/v1/assets/hosts/web1/"))

    assert by_id["id"] == by_name["id"] == asset["id"]
    assert {"id", "name"} <= set(by_id["platform"])
    assert {"name", "port"} <= set(by_id["protocols"][0])


def test_groups_users_assets_rules_can_be_made_changed_and_removed(each_house):
    api = each_house.admin
    ok = api.ok

    group = ok(api.post("/api/v1/users/groups/", {"name": "crud", "comment": "first"}))
    user = ok(api.post("/api/v1/users/users/", {"username": "crud", "name": "Crud", "email": "crud@example.org", "groups": [group["id"]]}))
    host = ok(
        api.post(
            "/api/v1/assets/hosts/",
            {
                "name": "crud-host",
                "address": "10.9.9.9",
                "platform": "Linux",
                "protocols": [{"name": "ssh", "port": 22}],
                "accounts": [{"username": "root", "secret_type": "password", "secret": "crud-s3cret"}],
            },
        )
    )
    account = api.rows("/api/v1/accounts/accounts/", asset=host["id"])[0]
    assert "secret" not in account or account["secret"] in (None, "", "******")
    rule = ok(
        api.post(
            "/api/v1/perms/asset-permissions/", {"name": "crud", "users": [user["id"]], "assets": [host["id"]], "accounts": ["@ALL"], "actions": ["connect"]}
        )
    )

    changed = ok(api.patch(f"/api/v1/users/groups/{group['id']}/", {"comment": "second"}))
    assert changed["comment"] == "second" and changed["name"] == "crud"
    assert ok(api.get(f"/api/v1/perms/asset-permissions/{rule['id']}/"))["name"] == "crud"

    for path in (f"perms/asset-permissions/{rule['id']}", f"assets/hosts/{host['id']}", f"users/users/{user['id']}", f"users/groups/{group['id']}"):
        assert api.delete(f"/api/v1/{path}/").status_code in (200, 204), path
        assert api.get(f"/api/v1/{path}/").status_code == 404
    logged = until(lambda: [r for r in api.rows("/api/v1/audits/operate-logs/") if "crud" in str(r)], "operate logs")
    assert len(logged) >= 9
    assert "crud-s3cret" not in str(logged)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/v1/users/groups/", {}, "name"),
        ("/api/v1/users/users/", {"username": "x" * 300, "name": "x", "email": "x@example.org"}, "username"),
        ("/api/v1/users/users/", {"username": "alice", "name": "Twice", "email": "twice@example.org"}, "username"),
        ("/api/v1/assets/hosts/", {"name": "h", "address": "", "platform": "Linux"}, "address"),
        ("/api/v1/assets/hosts/", {"name": "h", "address": "10.0.0.1", "platform": "No Such"}, "platform"),
        ("/api/v1/perms/asset-permissions/", {"name": "p", "actions": ["fly"]}, "actions"),
        ("/api/v1/perms/asset-permissions/", {"name": "p", "users": [MISSING]}, "users"),
    ],
)
def test_wrong_input_names_the_field(house, path, body, field):
    answer = house.admin.post(path, body)

    assert answer.status_code == 400, answer.text
    assert field in answer.json(), answer.text


def test_broken_requests_are_answered_not_crashed(house):
    api = house.admin
    for data, kind in (
        (b"{", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"[" * 5000, "application/json"),
        (b"a=b", "application/x-www-form-urlencoded"),
    ):
        answer = api.call("POST", "/api/v1/users/groups/", data=data, headers={"Content-Type": kind})
        assert 400 <= answer.status_code < 500, answer.status_code
    assert api.call(
        "POST", "/api/v1/users/groups/", data=b'{"name":"' + b"x" * (64 << 20) + b'"}', headers={"Content-Type": "application/json"}
    ).status_code in (400, 413)
    assert api.get("/api/v1/no/such/thing/").status_code == 404
    assert "panicked" not in house.server.output()


def test_a_person_cannot_raise_himself(house):
    bob = house.server.api().login("bob", BOB_PASSWORD)
    me = bob.ok(bob.get("/api/v1/users/profile/"))
    admin_role = next(r for r in house.admin.rows("/api/v1/rbac/roles/") if r["name"] == "SystemAdmin")

    for answer in (
        bob.post("/api/v1/rbac/role-bindings/", {"user": me["id"], "role": admin_role["id"]}),
        bob.patch(f"/api/v1/users/users/{me['id']}/", {"system_roles": [admin_role["id"]]}),
        bob.patch("/api/v1/users/profile/", {"system_roles": [admin_role["id"]], "is_superuser": True}),
    ):
        assert answer.status_code in (200, 400, 403, 404, 405)

    assert bob.get("/api/v1/users/users/").status_code == 403


# Tenants


@pytest.fixture(scope="module")
def other_org(house):
    """An organization of its own with an administrator."""
    house.server.apply(
        """\
kind: Organization
metadata: {name: Branch}
---
kind: User
metadata: {name: branch-admin}
spec: {name: Branch Admin, email: branch@example.org, password: {value: Regional-Head-12345}}
---
kind: RoleBinding
metadata: {name: branch-admin}
spec: {user: branch-admin, role: OrgAdmin, org: Branch}
---
kind: Host
metadata: {name: branch-host, org: Branch}
spec: {address: 10.8.8.8, platform: Linux, protocols: [ssh/22]}
""",
        name="branch.yaml",
    )
    org = house.admin.named("/api/v1/orgs/orgs/", "Branch")
    return org, house.server.api().login("branch-admin", "Regional-Head-12345", org["id"])


def test_an_organization_sees_only_its_own(house, other_org):
    org, branch = other_org

    assert [a["name"] for a in branch.rows("/api/v1/assets/assets/")] == ["branch-host"]
    default = [a["name"] for a in house.admin.in_org("DEFAULT").rows("/api/v1/assets/assets/")]
    assert "branch-host" not in default and "web1" in default
    everywhere = [a["name"] for a in house.admin.in_org("ROOT").rows("/api/v1/assets/assets/")]
    assert {"branch-host", "web1"} <= set(everywhere)
    assert org["name"] == "Branch"


def test_objects_of_another_organization_do_not_exist(house, other_org):
    _, branch = other_org
    asset = house.admin.named("/api/v1/assets/assets/", "web1")
    rule = house.admin.named("/api/v1/perms/asset-permissions/", "ops-web")

    for path in (f"assets/hosts/{asset['id']}", f"assets/assets/{asset['id']}", f"perms/asset-permissions/{rule['id']}"):
        for call in (branch.get, branch.delete):
            assert call(f"/api/v1/{path}/").status_code == 404, path
        assert branch.patch(f"/api/v1/{path}/", {"comment": "mine"}).status_code == 404, path
    for org in ("DEFAULT", "ROOT", str(uuid.UUID(int=2))):
        assert branch.in_org(org).get("/api/v1/assets/assets/").status_code in (403, 404), org
    crossing = branch.post("/api/v1/perms/asset-permissions/", {"name": "cross", "assets": [asset["id"]], "accounts": ["@ALL"]})
    assert crossing.status_code == 400
    # Filters cannot widen the scope.
    assert branch.rows("/api/v1/assets/assets/", id=asset["id"]) == []
    assert branch.rows("/api/v1/assets/assets/", ids=asset["id"]) == []


# The matrix


def operations(spec):
    for path, methods in sorted(spec["paths"].items()):
        for method, operation in methods.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield path, method.upper(), operation


def filled(path):
    return re.sub(r"\{[^}]+\}", MISSING, path)


def body_for(method):
    return {"json": {}} if method in ("POST", "PUT", "PATCH") else {}


def is_public(operation):
    return operation.get("security") in ([], None) and "x-permission" not in operation


def is_own(operation):
    """Everybody may do it to his own things."""
    return (
        bool(operation.get("x-own"))
        or re.match(
            r"(users\.(view|change)_profile|perms\.\w+_myassets|authentication\.\w+_(sshkey|mytoken)|terminal\.view_mysession)$",
            operation.get("x-permission", ""),
        )
        is not None
    )


def test_the_specification_is_complete(spec):
    assert spec["openapi"].startswith("3.")
    all_operations = list(operations(spec))
    assert len(all_operations) > 60
    for path, method, operation in all_operations:
        assert operation.get("operationId"), f"{method} {path}"
        assert is_public(operation) or ("x-permission" in operation and operation["security"]), f"{method} {path} says neither public nor which permission"
    for path in (
        "/api/v1/authentication/auth/",
        "/api/v1/users/users/",
        "/api/v1/assets/hosts/",
        "/api/v1/perms/asset-permissions/",
        "/api/v1/terminal/sessions/",
        "/api/v1/audits/entries/",
    ):
        assert path in spec["paths"], path


def test_nobody_gets_401_everywhere(house, spec):
    api = house.server.api()
    wrong = []
    for path, method, operation in operations(spec):
        if not is_public(operation):
            answer = api.call(method, filled(path), **body_for(method))
            if answer.status_code != 401:
                wrong.append(f"{method} {path}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_the_public_routes_are_few(spec):
    public = sorted(f"{method} {path}" for path, method, operation in operations(spec) if is_public(operation))

    print("\n".join(public))
    assert len(public) <= 15, public
    assert not any(re.search(r"/(users|assets|accounts|perms|terminal|audits)/", p) for p in public), public


def test_a_plain_user_gets_403_or_404_unless_it_is_his_own(house, spec):
    bob = house.server.api().login("bob", BOB_PASSWORD)
    wrong = []
    for path, method, operation in operations(spec):
        if is_public(operation) or is_own(operation):
            continue
        answer = bob.call(method, filled(path), **body_for(method))
        if answer.status_code not in (403, 404):
            wrong.append(f"{method} {path} ({operation['x-permission']}): {answer.status_code} {answer.text[:80]}")
    assert not wrong, "\n".join(wrong)


def test_an_auditor_reads_logs_and_changes_nothing(house, spec):
    house.server.apply(
        """\
kind: User
metadata: {name: auditor}
spec: {name: Auditor, email: auditor@example.org, password: {value: Reads-Every-Log-99}}
---
kind: RoleBinding
metadata: {name: auditor}
spec: {user: auditor, role: SystemAuditor}
""",
        name="auditor.yaml",
    )
    auditor = house.server.api().login("auditor", "Reads-Every-Log-99")
    for path in ("terminal/sessions", "terminal/commands", "audits/login-logs", "audits/operate-logs", "audits/entries"):
        assert auditor.get(f"/api/v1/{path}/", limit=1).status_code == 200, path
    wrong = []
    for path, method, operation in operations(spec):
        if method != "GET" and not is_public(operation) and not is_own(operation):
            answer = auditor.call(method, filled(path), **body_for(method))
            if answer.status_code not in (403, 404) and not operation["x-permission"].startswith(("audits.", "terminal.download")):
                wrong.append(f"{method} {path}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_the_administrator_is_never_refused(house, spec):
    wrong = []
    for path, method, operation in operations(spec):
        if is_public(operation) or "apply" in path or method == "DELETE" and "{" not in path:
            continue
        # Something that does not exist: the answer may be "not found" or "wrong input", never "not allowed" and never a fault.
        answer = house.admin.call(method, filled(path), **body_for(method))
        if answer.status_code in (401, 403, 500, 501, 502, 503):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:100]}")
    assert not wrong, "\n".join(wrong)


def test_the_last_administrator_stays(house):
    me = house.admin.named("/api/v1/users/users/", "admin", "username")

    assert house.admin.delete(f"/api/v1/users/users/{me['id']}/").status_code in (400, 403, 409)
    assert house.admin.patch(f"/api/v1/users/users/{me['id']}/", {"is_active": False}).status_code in (400, 403, 409)


def test_two_editors_do_not_lose_an_update(house):
    api = house.admin
    group = api.ok(api.post("/api/v1/users/groups/", {"name": f"etag-{uuid.uuid4().hex[:6]}"}))
    path = f"/api/v1/users/groups/{group['id']}/"
    tag = api.get(path).headers.get("ETag")
    assert tag, "no ETag"

    first = api.call("PATCH", path, json={"comment": "one"}, headers={"If-Match": tag})
    second = api.call("PATCH", path, json={"comment": "two"}, headers={"If-Match": tag})

    assert first.status_code == 200
    assert second.status_code in (409, 412)
    assert api.ok(api.get(path))["comment"] == "one"

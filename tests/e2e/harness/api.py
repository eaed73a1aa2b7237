"""A small client of the HTTP API: what a script of a customer would do."""

import requests
import urllib3

urllib3.disable_warnings()


class Api:
    """One base URL with one bearer token (or none)."""

    def __init__(self, url, token=None, org=None):
        self.url = url
        self.token = token
        self.session = requests.Session()
        # The generated certificate is our own; the tests of TLS check it on their own.
        self.session.verify = False
        self.session.trust_env = False
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"
        if org:
            self.session.headers["X-JMS-ORG"] = org

    def login(self, username, password, org=None, **more):
        """A client that is signed in as somebody."""
        answer = self.post("/api/v1/authentication/auth/", {"username": username, "password": password, **more})
        assert answer.status_code in (200, 201), f"{answer.status_code} {answer.text}"
        return Api(self.url, answer.json()["token"], org)

    def in_org(self, org):
        """The same credential, acting in another organization."""
        return Api(self.url, self.token, org)

    def call(self, method, path, **more):
        return self.session.request(method, self.url + path, timeout=30, **more)

    def get(self, path, **params):
        return self.call("GET", path, params=params)

    def post(self, path, body=None):
        return self.call("POST", path, json=body)

    def put(self, path, body=None):
        return self.call("PUT", path, json=body)

    def patch(self, path, body=None):
        return self.call("PATCH", path, json=body)

    def delete(self, path, **params):
        return self.call("DELETE", path, params=params)

    def ok(self, answer):
        """The JSON of an answer that must be a success."""
        assert answer.status_code < 300, f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:600]}"
        return answer.json() if answer.content else None

    def rows(self, path, **params):
        """Every row of a list, page by page."""
        rows = []
        while True:
            page = self.ok(self.get(path, limit=100, offset=len(rows), **params))
            if isinstance(page, list):
                return page
            rows += page["results"]
            if page["next"] is None or not page["results"]:
                return rows

    def named(self, path, name, key="name"):
        """The one row of a list with this name."""
        found = [row for row in self.rows(path) if row.get(key) == name]
        assert len(found) == 1, f"{len(found)} rows of {path} have {key} {name!r}"
        return found[0]

    # The lists the tests ask for most.

    def sessions(self, **params):
        return self.rows("/api/v1/terminal/sessions/", **params)

    def commands(self, **params):
        return self.rows("/api/v1/terminal/commands/", **params)

    def audit_entries(self, **params):
        """Entries of the audit chain, oldest first, each with its event's fields on top."""
        rows = []
        for row in self.rows("/api/v1/audits/entries/", **params):
            event = row.get("event")
            rows.append({**row, **event} if isinstance(event, dict) else row)
        return sorted(rows, key=lambda r: r.get("seq", 0))

"""The declared state that most tests share: one person, one machine, one rule, in at most forty lines."""

import secrets

from .target import INTERACTIVE_ACCOUNT, KEY_ACCOUNT, PASSWORD_ACCOUNT

ALICE_PASSWORD = "Wonder-land-" + secrets.token_hex(4)
BOB_PASSWORD = "Build-er-" + secrets.token_hex(4)


def state(target, alice_public_key):
    """alice (key and password) may use every account of web1 and web2; bob exists and may do nothing."""
    return f"""\
kind: UserGroup
metadata: {{name: ops}}
---
kind: User
metadata: {{name: alice}}
spec:
  name: Alice
  email: alice@example.org
  groups: [ops]
  password: {{value: {ALICE_PASSWORD}}}
  public_keys: ["{alice_public_key}"]
---
kind: User
metadata: {{name: bob}}
spec: {{name: Bob, email: bob@example.org, password: {{value: {BOB_PASSWORD}}}}}
---
kind: Host
metadata: {{name: web1}}
spec:
  address: 127.0.0.1
  platform: Linux
  nodes: [/Default/Web]
  protocols: [ssh/{target.port}]
  accounts:
    - {{username: {PASSWORD_ACCOUNT}, secret_type: password, secret: {{value: {target.password}}}}}
    - {{username: {KEY_ACCOUNT}, secret_type: ssh_key, secret: {{file: {target.key}}}}}
    - {{username: {INTERACTIVE_ACCOUNT}, secret_type: password, secret: {{value: {target.password}}}}}
---
kind: Host
metadata: {{name: web2}}
spec:
  address: 127.0.0.2
  platform: Linux
  nodes: [/Default/Web]
  protocols: [ssh/{target.port}]
  accounts: [{{username: {PASSWORD_ACCOUNT}, secret: {{value: {target.password}}}}}]
---
kind: AssetPermission
metadata: {{name: ops-web}}
spec: {{user_groups: [ops], nodes: [/Default/Web], accounts: ["@ALL"], protocols: [all], actions: [connect]}}
"""


class House:
    """A running server with the shared state, its target, and the doors to both."""

    def __init__(self, server, target, door, direct, alice_key):
        self.server, self.target, self.door, self.direct, self.alice_key = server, target, door, direct, alice_key
        self._admin = None

    @property
    def admin(self):
        """The administrator's API client, signed in once."""
        if self._admin is None:
            self._admin = self.server.admin()
        return self._admin

    def audit_since(self, seq):
        """Entries after a place in the chain."""
        return [e for e in self.admin.audit_entries() if e["seq"] > seq]

    def audit_head(self):
        """The place of the newest entry."""
        entries = self.admin.audit_entries()
        return entries[-1]["seq"] if entries else 0

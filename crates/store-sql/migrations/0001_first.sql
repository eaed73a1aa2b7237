-- The first schema. Written once for every dialect: {id} is a UUID as text, {key} a short text that may be indexed,
-- {text} any length. Times are microseconds since 1970 (BIGINT). Lists that are searched are relation tables; lists
-- that are only read with their owner are JSON text. Rows of a tenant carry org_id, and references between them are
-- composite, so that a reference into another organization is a constraint error.

CREATE TABLE counters (name {key} PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO counters (name, value) VALUES ('revision', 0);
CREATE TABLE settings (name {key} PRIMARY KEY, value {text} NOT NULL);

CREATE TABLE orgs (
  id {id} PRIMARY KEY, name {key} NOT NULL UNIQUE, parent_id {id} REFERENCES orgs (id), builtin BOOLEAN NOT NULL, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL);

CREATE TABLE roles (
  id {id} PRIMARY KEY, name {key} NOT NULL, scope {key} NOT NULL, permissions {text} NOT NULL, builtin BOOLEAN NOT NULL, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (name, scope));

CREATE TABLE platforms (
  id {id} PRIMARY KEY, name {key} NOT NULL UNIQUE, category {key} NOT NULL, kind {key} NOT NULL, charset {key} NOT NULL,
  gateway_enabled BOOLEAN NOT NULL, su_enabled BOOLEAN NOT NULL, su_method {key}, protocols {text} NOT NULL, builtin BOOLEAN NOT NULL,
  comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL);

CREATE TABLE users (
  id {id} PRIMARY KEY, username {key} NOT NULL, name {key} NOT NULL, email {key} NOT NULL, phone {key} NOT NULL, source {key} NOT NULL,
  is_active BOOLEAN NOT NULL, date_expired BIGINT, mfa_level {key} NOT NULL, need_update_password BOOLEAN NOT NULL,
  is_service_account BOOLEAN NOT NULL, lang {key} NOT NULL, last_login BIGINT, comment {text} NOT NULL,
  username_key {key} NOT NULL UNIQUE, email_key {key} UNIQUE,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL);

CREATE TABLE user_secrets (
  user_id {id} PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  password_hash {text}, password_history {text} NOT NULL, password_set BIGINT, otp {text}, otp_last_step BIGINT NOT NULL, setup_token_hash {key});
CREATE INDEX user_secrets_setup ON user_secrets (setup_token_hash);

CREATE TABLE public_keys (
  id {id} PRIMARY KEY, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE, name {key} NOT NULL, public_key {text} NOT NULL,
  fingerprint {key} NOT NULL, is_active BOOLEAN NOT NULL, date_last_used BIGINT,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (user_id, fingerprint));

CREATE TABLE role_bindings (
  id {id} PRIMARY KEY, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE, role_id {id} NOT NULL REFERENCES roles (id),
  org_id {id} REFERENCES orgs (id), org_key {key} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (user_id, role_id, org_key));
CREATE INDEX role_bindings_org ON role_bindings (org_id, user_id);
CREATE INDEX role_bindings_role ON role_bindings (role_id);

CREATE TABLE user_groups (
  id {id} PRIMARY KEY, org_id {id} NOT NULL REFERENCES orgs (id), name {key} NOT NULL, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (org_id, name), UNIQUE (org_id, id));
CREATE TABLE group_members (
  org_id {id} NOT NULL, group_id {id} NOT NULL, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE, pos BIGINT NOT NULL,
  PRIMARY KEY (group_id, user_id), FOREIGN KEY (org_id, group_id) REFERENCES user_groups (org_id, id) ON DELETE CASCADE);
CREATE INDEX group_members_user ON group_members (user_id, org_id);
CREATE INDEX group_members_group ON group_members (org_id, group_id);

CREATE TABLE nodes (
  id {id} PRIMARY KEY, org_id {id} NOT NULL REFERENCES orgs (id), node_key {key} NOT NULL UNIQUE, parent_key {key} NOT NULL, value {key} NOT NULL,
  full_value {text} NOT NULL, child_mark BIGINT NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (org_id, parent_key, value), UNIQUE (org_id, id));

CREATE TABLE assets (
  id {id} PRIMARY KEY, org_id {id} NOT NULL REFERENCES orgs (id), name {key} NOT NULL, address {key} NOT NULL,
  platform_id {id} NOT NULL REFERENCES platforms (id), category {key} NOT NULL, protocols {text} NOT NULL, is_active BOOLEAN NOT NULL,
  connectivity {key} NOT NULL, date_verified BIGINT, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (org_id, name), UNIQUE (org_id, id));
CREATE INDEX assets_name ON assets (name);
CREATE INDEX assets_address ON assets (address);
CREATE INDEX assets_platform ON assets (platform_id);
CREATE TABLE asset_nodes (
  org_id {id} NOT NULL, asset_id {id} NOT NULL, node_id {id} NOT NULL, pos BIGINT NOT NULL, PRIMARY KEY (asset_id, node_id),
  FOREIGN KEY (org_id, asset_id) REFERENCES assets (org_id, id) ON DELETE CASCADE, FOREIGN KEY (org_id, node_id) REFERENCES nodes (org_id, id));
CREATE INDEX asset_nodes_node ON asset_nodes (node_id, asset_id);
CREATE INDEX asset_nodes_asset ON asset_nodes (org_id, asset_id);

CREATE TABLE accounts (
  id {id} PRIMARY KEY, org_id {id} NOT NULL, asset_id {id} NOT NULL, name {key} NOT NULL, username {key} NOT NULL, secret_type {key} NOT NULL,
  has_secret BOOLEAN NOT NULL, privileged BOOLEAN NOT NULL, is_active BOOLEAN NOT NULL, secret_reset BOOLEAN NOT NULL, su_from {id},
  source {key} NOT NULL, version BIGINT NOT NULL, connectivity {key} NOT NULL, date_verified BIGINT, date_change_secret BIGINT, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL,
  UNIQUE (asset_id, username, secret_type), UNIQUE (asset_id, name), UNIQUE (org_id, id), UNIQUE (asset_id, id),
  FOREIGN KEY (org_id, asset_id) REFERENCES assets (org_id, id) ON DELETE CASCADE,
  FOREIGN KEY (asset_id, su_from) REFERENCES accounts (asset_id, id));
CREATE INDEX accounts_org_asset ON accounts (org_id, asset_id);
CREATE INDEX accounts_su_from ON accounts (asset_id, su_from);
CREATE INDEX accounts_username ON accounts (org_id, username);
CREATE TABLE account_secrets (
  account_id {id} NOT NULL, version BIGINT NOT NULL, org_id {id} NOT NULL, secret_type {key} NOT NULL, secret {text}, passphrase {text},
  created_by {key} NOT NULL, date_created BIGINT NOT NULL, PRIMARY KEY (account_id, version),
  FOREIGN KEY (org_id, account_id) REFERENCES accounts (org_id, id) ON DELETE CASCADE);
CREATE INDEX account_secrets_account ON account_secrets (org_id, account_id);
CREATE TABLE host_keys (
  asset_id {id} NOT NULL, address {key} NOT NULL, algorithm {key} NOT NULL, org_id {id} NOT NULL, public_key {text} NOT NULL, fingerprint {key} NOT NULL,
  first_seen BIGINT NOT NULL, pinned BOOLEAN NOT NULL, PRIMARY KEY (asset_id, address, algorithm),
  FOREIGN KEY (org_id, asset_id) REFERENCES assets (org_id, id) ON DELETE CASCADE);
CREATE INDEX host_keys_asset ON host_keys (org_id, asset_id);

CREATE TABLE asset_permissions (
  id {id} PRIMARY KEY, org_id {id} NOT NULL REFERENCES orgs (id), name {key} NOT NULL, accounts {text} NOT NULL, protocols {text} NOT NULL,
  actions BIGINT NOT NULL, date_start BIGINT NOT NULL, date_expired BIGINT NOT NULL, is_active BOOLEAN NOT NULL, comment {text} NOT NULL,
  revision BIGINT NOT NULL, created_by {key} NOT NULL, updated_by {key} NOT NULL, date_created BIGINT NOT NULL, date_updated BIGINT NOT NULL,
  search_text {text} NOT NULL, UNIQUE (org_id, name), UNIQUE (org_id, id));
CREATE TABLE permission_users (
  org_id {id} NOT NULL, permission_id {id} NOT NULL, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE, pos BIGINT NOT NULL,
  PRIMARY KEY (permission_id, user_id), FOREIGN KEY (org_id, permission_id) REFERENCES asset_permissions (org_id, id) ON DELETE CASCADE);
CREATE INDEX permission_users_user ON permission_users (user_id, org_id);
CREATE INDEX permission_users_owner ON permission_users (org_id, permission_id);
CREATE TABLE permission_groups (
  org_id {id} NOT NULL, permission_id {id} NOT NULL, group_id {id} NOT NULL, pos BIGINT NOT NULL, PRIMARY KEY (permission_id, group_id),
  FOREIGN KEY (org_id, permission_id) REFERENCES asset_permissions (org_id, id) ON DELETE CASCADE,
  FOREIGN KEY (org_id, group_id) REFERENCES user_groups (org_id, id) ON DELETE CASCADE);
CREATE INDEX permission_groups_group ON permission_groups (org_id, group_id);
CREATE INDEX permission_groups_group_only ON permission_groups (group_id);
CREATE INDEX permission_groups_owner ON permission_groups (org_id, permission_id);
CREATE TABLE permission_assets (
  org_id {id} NOT NULL, permission_id {id} NOT NULL, asset_id {id} NOT NULL, pos BIGINT NOT NULL, PRIMARY KEY (permission_id, asset_id),
  FOREIGN KEY (org_id, permission_id) REFERENCES asset_permissions (org_id, id) ON DELETE CASCADE,
  FOREIGN KEY (org_id, asset_id) REFERENCES assets (org_id, id) ON DELETE CASCADE);
CREATE INDEX permission_assets_asset ON permission_assets (org_id, asset_id);
CREATE INDEX permission_assets_owner ON permission_assets (org_id, permission_id);
CREATE TABLE permission_nodes (
  org_id {id} NOT NULL, permission_id {id} NOT NULL, node_id {id} NOT NULL, pos BIGINT NOT NULL, PRIMARY KEY (permission_id, node_id),
  FOREIGN KEY (org_id, permission_id) REFERENCES asset_permissions (org_id, id) ON DELETE CASCADE,
  FOREIGN KEY (org_id, node_id) REFERENCES nodes (org_id, id) ON DELETE CASCADE);
CREATE INDEX permission_nodes_node ON permission_nodes (org_id, node_id);
CREATE INDEX permission_nodes_owner ON permission_nodes (org_id, permission_id);

CREATE TABLE tokens (
  id {id} PRIMARY KEY, user_id {id} NOT NULL REFERENCES users (id) ON DELETE CASCADE, kind {key} NOT NULL, hash {key} NOT NULL, csrf_hash {key} NOT NULL,
  date_created BIGINT NOT NULL, date_expired BIGINT NOT NULL, client {key} NOT NULL, date_confirmed BIGINT, UNIQUE (kind, hash));
CREATE INDEX tokens_user ON tokens (user_id);
CREATE INDEX tokens_expired ON tokens (date_expired);
CREATE TABLE attempts (
  id {id} PRIMARY KEY, scope {key} NOT NULL, value {key} NOT NULL, happened_at BIGINT NOT NULL, forget_at BIGINT NOT NULL);
CREATE INDEX attempts_value ON attempts (scope, value, happened_at);
CREATE INDEX attempts_forget ON attempts (forget_at);
CREATE TABLE key_material (
  id BIGINT PRIMARY KEY, wrapped {text} NOT NULL, algorithm {key} NOT NULL, active BOOLEAN NOT NULL, date_created BIGINT NOT NULL);

-- Logs. Names are copies, so nothing here refers to objects that may be renamed or deleted.
CREATE TABLE sessions (
  id {id} PRIMARY KEY, org_id {id} NOT NULL, user_id {id} NOT NULL, user_name {text} NOT NULL, asset_id {id} NOT NULL, asset_name {text} NOT NULL,
  account_id {id}, account_name {text} NOT NULL, protocol {key} NOT NULL, kind {key} NOT NULL, login_from {key} NOT NULL, remote_addr {key} NOT NULL,
  node_id {key} NOT NULL, decision_id {key} NOT NULL, connection_id {key} NOT NULL, state {key} NOT NULL, is_success BOOLEAN NOT NULL,
  end_reason {key}, end_fault {key}, exit_code BIGINT, recording {text}, recording_hash {key}, recording_size BIGINT NOT NULL,
  command_amount BIGINT NOT NULL, bytes_in BIGINT NOT NULL, bytes_out BIGINT NOT NULL, date_start BIGINT NOT NULL, date_end BIGINT,
  date_alive BIGINT NOT NULL, comment {text} NOT NULL, is_finished BOOLEAN NOT NULL);
CREATE INDEX sessions_org_start ON sessions (org_id, date_start);
CREATE INDEX sessions_start ON sessions (date_start);
CREATE INDEX sessions_user ON sessions (user_id, date_start);
CREATE INDEX sessions_asset ON sessions (asset_id, date_start);
CREATE INDEX sessions_open ON sessions (is_finished, node_id);
CREATE TABLE commands (
  id {id} PRIMARY KEY, org_id {id} NOT NULL, session_id {id} NOT NULL, user_name {text} NOT NULL, asset_name {text} NOT NULL,
  account_name {text} NOT NULL, remote_addr {key} NOT NULL, input {text} NOT NULL, output {text} NOT NULL, risk_level BIGINT NOT NULL,
  happened_at BIGINT NOT NULL, offset_ms BIGINT NOT NULL, duration_ms BIGINT);
CREATE INDEX commands_org_at ON commands (org_id, happened_at);
CREATE INDEX commands_at ON commands (happened_at);
CREATE INDEX commands_session ON commands (session_id, happened_at);
CREATE TABLE login_logs (
  id {id} PRIMARY KEY, username {key} NOT NULL, user_id {id}, login_type {key} NOT NULL, ip {key} NOT NULL, user_agent {text} NOT NULL,
  mfa {key} NOT NULL, backend {key} NOT NULL, reason {key} NOT NULL, status BOOLEAN NOT NULL, happened_at BIGINT NOT NULL);
CREATE INDEX login_logs_at ON login_logs (happened_at);
CREATE INDEX login_logs_user ON login_logs (user_id, happened_at);
CREATE TABLE operate_logs (
  id {id} PRIMARY KEY, org_id {id}, user_name {text} NOT NULL, action {key} NOT NULL, resource_type {key} NOT NULL, resource {text} NOT NULL,
  resource_id {key} NOT NULL, diff_before {text} NOT NULL, diff_after {text} NOT NULL, remote_addr {key} NOT NULL, happened_at BIGINT NOT NULL);
CREATE INDEX operate_logs_at ON operate_logs (happened_at);
CREATE INDEX operate_logs_org_at ON operate_logs (org_id, happened_at);
CREATE INDEX operate_logs_resource ON operate_logs (resource_id, happened_at);
CREATE TABLE password_change_logs (
  id {id} PRIMARY KEY, user_id {id}, user_name {text} NOT NULL, change_by {text} NOT NULL, remote_addr {key} NOT NULL, happened_at BIGINT NOT NULL);
CREATE INDEX password_change_logs_at ON password_change_logs (happened_at);

-- Evidence. `event` is the JSON text exactly as it was hashed; the columns beside it are copies for searching.
CREATE TABLE audit_entries (
  node_id {key} NOT NULL, seq BIGINT NOT NULL, event {text} NOT NULL, prev_hash {key} NOT NULL, hash {key} NOT NULL, kind {key} NOT NULL,
  org_id {id}, actor {text} NOT NULL, actor_id {id}, target {text} NOT NULL, target_id {key} NOT NULL, session_id {id}, remote_addr {key} NOT NULL,
  happened_at BIGINT NOT NULL, PRIMARY KEY (node_id, seq));
CREATE INDEX audit_entries_at ON audit_entries (happened_at);
CREATE INDEX audit_entries_org_at ON audit_entries (org_id, happened_at);
CREATE INDEX audit_entries_session ON audit_entries (session_id);
CREATE TABLE checkpoints (
  node_id {key} NOT NULL, seq BIGINT NOT NULL, hash {key} NOT NULL, signed_at BIGINT NOT NULL, public_key {key} NOT NULL, signature {key} NOT NULL,
  PRIMARY KEY (node_id, signed_at, seq));

-- Who may do what, and what they did. All times are milliseconds since 1970, UTC. Secrets are never stored:
-- passwords as Argon2id, tokens and keys (which are random) as SHA-256.

CREATE TABLE users (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    -- Grows with each change; the ETag of the row.
    version INTEGER NOT NULL DEFAULT 1
) STRICT;

-- One sign-in. Its access tokens name it, its refresh tokens belong to it.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    user TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    address TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    used_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    revoked_ms INTEGER,
    reason TEXT
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user, created_ms);
CREATE INDEX sessions_by_expiry ON sessions (expires_ms);

-- A refresh token is used once. One that comes again was stolen: its whole session ends.
CREATE TABLE refresh_tokens (
    hash BLOB PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    issued_ms INTEGER NOT NULL,
    used_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session);

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The first letters, to tell keys apart on a screen.
    prefix TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    created_by TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    role TEXT,
    address TEXT NOT NULL,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    status INTEGER NOT NULL,
    -- Code of the problem, when it was refused.
    code TEXT,
    -- What changed, as JSON; without secrets.
    before TEXT,
    after TEXT
) STRICT;
CREATE INDEX audit_by_principal ON audit (principal, id);
CREATE INDEX audit_by_time ON audit (at_ms);
CREATE INDEX audit_by_operation ON audit (operation, id);

-- Append-only, also against bugs of ours. Only what is old may go: the table is bounded.
CREATE TRIGGER audit_is_not_rewritten BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_keeps_what_is_new BEFORE DELETE ON audit
WHEN OLD.id > (SELECT max(id) FROM audit) - 100000
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;

-- Answers to requests that carried an Idempotency-Key, for a day.
CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    at_ms INTEGER NOT NULL,
    -- Unset while the first request is under way.
    status INTEGER,
    content_type TEXT,
    -- Unset when the answer carried a secret, which is shown once.
    body BLOB,
    PRIMARY KEY (principal, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (at_ms);

-- Configurations that were in force, as they may be shown.
CREATE TABLE config_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    principal TEXT NOT NULL,
    -- start, reload, api or rollback
    origin TEXT NOT NULL,
    tag TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    comment TEXT NOT NULL,
    toml TEXT NOT NULL
) STRICT;

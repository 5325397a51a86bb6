-- What the appliance did, minute by minute, for a month; latency columns, baselines and alerts. All times are
-- milliseconds since 1970, UTC. A minute that is not there is a gap, and `covers_ms` says how much of one is known.

CREATE TABLE history_subjects (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('appliance', 'pipeline', 'shard')),
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

CREATE TABLE history_minutes (
    subject INTEGER NOT NULL REFERENCES history_subjects (id) ON DELETE CASCADE,
    minute_ms INTEGER NOT NULL,
    covers_ms INTEGER NOT NULL,
    state TEXT,
    received INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    filtered INTEGER NOT NULL,
    released INTEGER NOT NULL,
    lease_lost INTEGER NOT NULL,
    redelivered_while_held INTEGER NOT NULL,
    received_bytes INTEGER NOT NULL,
    delivered_bytes INTEGER NOT NULL,
    receives INTEGER NOT NULL,
    empty_receives INTEGER NOT NULL,
    receive_chunks INTEGER NOT NULL,
    deletes INTEGER NOT NULL,
    extends INTEGER NOT NULL,
    release_calls INTEGER NOT NULL,
    request_errors INTEGER NOT NULL,
    delete_entries_failed INTEGER NOT NULL,
    produced INTEGER NOT NULL,
    produce_retries INTEGER NOT NULL,
    breaker_opened INTEGER NOT NULL,
    in_flight_mean REAL,
    in_flight_peak REAL,
    in_flight_bytes_mean REAL,
    in_flight_bytes_peak REAL,
    pollers_mean REAL,
    pollers_peak REAL,
    cpu_cores_mean REAL,
    cpu_cores_peak REAL,
    stall_seconds_mean REAL,
    stall_seconds_peak REAL,
    queue_visible_mean REAL,
    queue_visible_peak REAL,
    queue_in_flight_mean REAL,
    queue_in_flight_peak REAL,
    queue_delayed_mean REAL,
    queue_delayed_peak REAL,
    PRIMARY KEY (subject, minute_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_minutes_by_age ON history_minutes (minute_ms);

-- Percentiles and heatmap columns of every stage; the pipeline '' is all of them together.
CREATE TABLE latency_minutes (
    pipeline TEXT NOT NULL,
    minute_ms INTEGER NOT NULL,
    columns BLOB NOT NULL,
    PRIMARY KEY (pipeline, minute_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX latency_minutes_by_age ON latency_minutes (minute_ms);

-- Windows that were saved to compare with; the histograms are HdrHistogram V2, as JSON by stage.
CREATE TABLE latency_baselines (
    name TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    saved_ms INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    note TEXT NOT NULL,
    messages INTEGER NOT NULL,
    histograms TEXT NOT NULL
) STRICT;

CREATE TABLE alert_rules (
    name TEXT PRIMARY KEY,
    rule TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 1,
    changed_ms INTEGER NOT NULL,
    changed_by TEXT NOT NULL
) STRICT;

CREATE TABLE alert_silences (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    matchers TEXT NOT NULL,
    starts_ms INTEGER NOT NULL,
    ends_ms INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
CREATE INDEX alert_silences_by_end ON alert_silences (ends_ms);

-- What is pending or firing, so that a restart neither forgets nor tells it twice.
CREATE TABLE alert_active (
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    track TEXT NOT NULL,
    PRIMARY KEY (rule, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE alert_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms INTEGER NOT NULL,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    event TEXT NOT NULL,
    value REAL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX alert_events_by_rule ON alert_events (rule, id);

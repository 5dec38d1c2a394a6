"""The numbered migrations that create the tables of the ledger, as SQL; a released one never changes."""

from __future__ import annotations

FIRST = """
CREATE TABLE perennial.version (
    model       text        NOT NULL,
    version     integer     NOT NULL CHECK (version > 0),
    run_id      text        NOT NULL,
    candidate   text        NOT NULL,
    recipe      jsonb       NOT NULL,
    twin        text        NOT NULL,
    twin_first  text        NOT NULL,
    twin_last   text        NOT NULL,
    metrics     jsonb       NOT NULL,
    bundle      text,
    state       text        NOT NULL
        CHECK (state IN ('challenger', 'packaged', 'champion', 'retired', 'rejected', 'held', 'failed')),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, version),
    UNIQUE (model, run_id),
    CHECK (bundle IS NOT NULL OR state NOT IN ('packaged', 'champion', 'retired', 'failed'))
);
-- at most one champion of a model, whatever the code above this line does
CREATE UNIQUE INDEX one_champion ON perennial.version (model) WHERE state = 'champion';

-- version NULL: nothing serves (never released, or taken out of service); the epoch stays and only grows
CREATE TABLE perennial.champion (
    model         text        PRIMARY KEY,
    version       integer,
    digest        text,
    epoch         bigint      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    frozen        boolean     NOT NULL DEFAULT false,
    frozen_reason text,
    run_id        text,
    since         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((version IS NULL) = (digest IS NULL)),
    FOREIGN KEY (model, version) REFERENCES perennial.version (model, version)
);

CREATE TABLE perennial.decision (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model           text        NOT NULL,
    run_id          text        NOT NULL,
    as_of           text        NOT NULL,
    verdict         text        NOT NULL CHECK (verdict IN ('promote', 'hold', 'reject')),
    reason          text        NOT NULL,
    version         integer,
    parameters      jsonb       NOT NULL,
    code_digest     text        NOT NULL,
    snapshot_digest text        NOT NULL,
    checks          jsonb       NOT NULL,
    decided_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (model, run_id)
);
CREATE INDEX decision_newest ON perennial.decision (model, decided_at DESC, id DESC);

CREATE TABLE perennial.audit (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor        text        NOT NULL,
    action       text        NOT NULL,
    model        text        NOT NULL,
    version      integer,
    from_version integer,
    epoch        bigint,
    reason       text        NOT NULL,
    run_id       text
);
CREATE INDEX audit_of_model ON perennial.audit (model, id);

CREATE FUNCTION perennial.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'perennial.audit is append-only';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON perennial.audit
    FOR EACH STATEMENT EXECUTE FUNCTION perennial.refuse_change();
CREATE FUNCTION perennial.epoch_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.epoch < OLD.epoch
       OR (NEW.epoch = OLD.epoch AND (NEW.version, NEW.digest) IS DISTINCT FROM (OLD.version, OLD.digest)) THEN
        RAISE EXCEPTION 'perennial.champion: the epoch of % grows with every change and never falls', OLD.model;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER epoch_only_grows BEFORE UPDATE OR DELETE ON perennial.champion
    FOR EACH ROW EXECUTE FUNCTION perennial.epoch_only_grows();
"""

# Before this migration MLflow numbered the versions, so each has the same number there.
NUMBERS = """
CREATE TABLE perennial.version_number (
    model          text        NOT NULL,
    version        integer     NOT NULL CHECK (version > 0),
    run_id         text        NOT NULL,
    mlflow_run_id  text,
    -- NULL: not registered in MLflow (yet, or no longer)
    mlflow_version integer     CHECK (mlflow_version > 0),
    allocated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, version),
    UNIQUE (model, run_id),
    UNIQUE (model, mlflow_version)
);
INSERT INTO perennial.version_number (model, version, run_id, mlflow_version, allocated_at)
SELECT model, version, run_id, version, created_at FROM perennial.version;
"""

# What became of each day, and what a decision was made from, so that a page about all models reads neither lakes nor
# MLflow. Of older decisions only one figure is a number in the ledger; the others stay unknown.
OVERVIEW = """
CREATE TABLE perennial.day (
    model       text        NOT NULL,
    key         text        NOT NULL CHECK (key ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    state       text        NOT NULL CHECK (state IN ('published', 'empty', 'rejected', 'failed')),
    -- that are published in the lake, by whichever batch; NULL: none were ever published
    rows        bigint      CHECK (rows >= 0),
    -- of the newest validated batch; NULL: not known
    quarantined bigint      CHECK (quarantined >= 0),
    reason      text        NOT NULL,
    batch       text,
    run_id      text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, key),
    CHECK (rows IS NOT NULL OR state NOT IN ('published', 'empty'))
);
ALTER TABLE perennial.decision ADD COLUMN figures jsonb, ADD COLUMN evidence jsonb;
UPDATE perennial.decision SET figures = jsonb_build_object('over_baseline', jsonb_build_object('value', found.value))
FROM (
    SELECT id, jsonb_path_query_first(checks, '$[*] ? (@.name == "better than the baseline").value') AS value
    FROM perennial.decision
) AS found
WHERE found.id = decision.id AND jsonb_typeof(found.value) = 'number';
CREATE INDEX audit_of_freezes ON perennial.audit (model, id) WHERE action IN ('freeze', 'unfreeze', 'rollback');
"""

# What needs a person. One incident of a model, kind and cause is not closed; one alert is queued for each event of it.
INCIDENTS = """
CREATE TABLE perennial.incident (
    number          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- empty: it belongs to no model
    model           text        NOT NULL,
    kind            text        NOT NULL CHECK (kind <> ''),
    cause           text        NOT NULL CHECK (cause <> ''),
    severity        text        NOT NULL CHECK (severity IN ('warning', 'critical')),
    state           text        NOT NULL CHECK (state IN ('open', 'acknowledged', 'closed')),
    since           text        NOT NULL,
    what            text        NOT NULL,
    how_bad         text        NOT NULL,
    done            text        NOT NULL,
    todo            text        NOT NULL,
    page            text        NOT NULL,
    looks           bigint      NOT NULL CHECK (looks > 0),
    -- of the newest look about it, and that look's run
    began           timestamptz NOT NULL,
    run_id          text,
    -- closed by hand, and neither over nor worse since
    muted           boolean     NOT NULL DEFAULT false,
    opened_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    acknowledged_at timestamptz,
    acknowledged_by text,
    closed_at       timestamptz,
    closed_by       text,
    reason          text,
    CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
    CHECK (closed_at IS NULL OR closed_by IS NOT NULL),
    CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL)),
    CHECK (state <> 'acknowledged' OR acknowledged_at IS NOT NULL),
    CHECK (NOT muted OR state = 'closed')
);
CREATE UNIQUE INDEX one_incident ON perennial.incident (model, kind, cause) WHERE state <> 'closed';
CREATE UNIQUE INDEX one_muted ON perennial.incident (model, kind, cause) WHERE muted;
CREATE INDEX incident_of_model ON perennial.incident (model, number DESC);

-- the newest look of each scope, so that an older one that ends later changes nothing
CREATE TABLE perennial.look (
    scope  text        PRIMARY KEY,
    began  timestamptz NOT NULL,
    run_id text
);

-- the outbox. "report" is the list of open incidents of one day, without an incident of its own
CREATE TABLE perennial.alert (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident   bigint      REFERENCES perennial.incident (number),
    event      text        NOT NULL CHECK (event IN ('opened', 'worse', 'closed', 'report')),
    day        text        CHECK (day ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    queued_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- when every channel had accepted it or was given up, or it was left to the page because there is no channel
    settled_at timestamptz,
    outcome    text        CHECK (outcome IN ('sent', 'failed', 'page')),
    UNIQUE (incident, event),
    UNIQUE (event, day),
    CHECK ((event = 'report') = (incident IS NULL)),
    CHECK ((event = 'report') = (day IS NOT NULL)),
    CHECK ((settled_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX alert_waiting ON perennial.alert (id) WHERE settled_at IS NULL;

-- what became of an alert on one channel; `channel` is derived from its address and does not reveal it
CREATE TABLE perennial.delivery (
    alert      bigint      NOT NULL REFERENCES perennial.alert (id),
    channel    text        NOT NULL,
    name       text        NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'failed')),
    tries      integer     NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- NULL: at once
    next_at    timestamptz,
    sent_at    timestamptz,
    last_error text,
    PRIMARY KEY (alert, channel),
    CHECK ((state = 'sent') = (sent_at IS NOT NULL))
);
CREATE INDEX delivery_waiting ON perennial.delivery (channel, alert) WHERE state = 'waiting';

-- what monitoring asked for, and what it was answered: once for each as-of
CREATE TABLE perennial.retraining_request (
    model   text        NOT NULL,
    as_of   text        NOT NULL CHECK (as_of ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    run_id  text        NOT NULL,
    -- the day on which it was asked; cool-down and budget are counted in these days
    day     text        NOT NULL CHECK (day ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'),
    cause   text        NOT NULL,
    reason  text        NOT NULL,
    granted boolean     NOT NULL,
    answer  text        NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (model, as_of)
);
"""

MIGRATIONS: tuple[tuple[int, str], ...] = ((1, FIRST), (2, NUMBERS), (3, OVERVIEW), (4, INCIDENTS))

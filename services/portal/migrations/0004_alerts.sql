-- What the monitor raised and cleared; part of the read model. Of one raising the two events come on two topics, in any
-- order: what only `alert.cleared` says is NULL until it comes, and so is `raised_at` where that one came first.
CREATE TABLE alert (
    rule       text        NOT NULL,
    about      text COLLATE "C" NOT NULL,
    raising    int         NOT NULL CHECK (raising > 0),
    level      text        NOT NULL,
    since      timestamptz NOT NULL,
    threshold  float8      NOT NULL,
    raised_value  float8,
    cleared_value float8,
    runbook    text        NOT NULL,
    advice     jsonb       NOT NULL,  -- {what, look, do}, each {id, en}
    raised_at  timestamptz,
    cleared_at timestamptz,
    PRIMARY KEY (rule, about, raising),
    CHECK (raised_at IS NOT NULL OR cleared_at IS NOT NULL)
);
CREATE INDEX alert_open ON alert (since DESC) WHERE cleared_at IS NULL;
CREATE INDEX alert_by_time ON alert (since DESC, rule, about, raising);

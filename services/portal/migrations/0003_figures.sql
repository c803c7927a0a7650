-- The open figures: computed at fixed dates, rounded before they are written, and kept as they were published. No true
-- count stands here. A rebuild leaves them alone.

CREATE TABLE edition (
    edition     date        PRIMARY KEY,   -- the date that it is for, on the region's calendar
    computed_at timestamptz NOT NULL,
    area        text        NOT NULL,      -- the whole that is shown: a regency, a province, or '' for all
    checkpoint  jsonb,                     -- {sha256, made_at, key} of the audit checkpoint that it was computed at
    positions   jsonb       NOT NULL       -- {topic: {partition: next_sequence}}: what had been read by then
);

CREATE TABLE figure (
    edition   date NOT NULL REFERENCES edition ON DELETE CASCADE,
    measure   text NOT NULL CHECK (measure IN ('registered', 'eligible', 'refused', 'paid', 'paid_idr')),
    programme text NOT NULL DEFAULT '',
    period    text NOT NULL DEFAULT '',
    reason    text NOT NULL DEFAULT '',
    area      text COLLATE "C" NOT NULL,   -- the whole, a district (6 digits) or a village (10)
    value     bigint CHECK (value >= 0),   -- NULL: too few to be shown, or hidden because another is
    PRIMARY KEY (edition, measure, programme, period, reason, area)
);

-- The read model: what the flow's topics say, kept so that it can be looked at. Nothing here is anybody's source of
-- truth: `salur portal rebuild` empties these tables and reads the topics anew. Every column comes from the events
-- alone, never from the clock or from the order between topics, so that a rebuilt row is the row that it was.
--
-- Codes of villages and ids are compared byte by byte (COLLATE "C"): an area is a prefix, `village LIKE '7604%'`, and
-- an index serves it; pages go on after the last (village, id) that was shown.

CREATE TABLE recipient (
    recipient_id  text COLLATE "C" PRIMARY KEY,
    revision      int         NOT NULL CHECK (revision > 0),
    village       text COLLATE "C" NOT NULL,
    decile        int         NOT NULL,
    family_id     text COLLATE "C" NOT NULL,
    registered_at timestamptz NOT NULL,  -- for the first time: they have waited since
    source        text        NOT NULL,  -- of the submission that this revision comes from
    at            timestamptz NOT NULL,  -- of this revision
    has_account   bool        NOT NULL,
    has_contact   bool        NOT NULL   -- whether a phone is in it stays under seal
);
CREATE INDEX recipient_by_village ON recipient (village, recipient_id);

-- Which flags stand on a person is under seal; that they changed is not. A person may be flagged before registering.
CREATE TABLE flagged (
    recipient_id text COLLATE "C" PRIMARY KEY,
    revision     int         NOT NULL CHECK (revision > 0),
    at           timestamptz NOT NULL
);

-- Every answer to a submission. `recipient_id` is NULL where the NIK is invalid, `village` where its recipient is not
-- registered: then only the centre sees it.
CREATE TABLE submission (
    kind         text        NOT NULL CHECK (kind IN ('registration', 'flag')),
    source       text        NOT NULL,
    id           text        NOT NULL,
    answer       text        NOT NULL CHECK (answer IN ('new', 'updated', 'identical', 'older', 'flagged', 'rejected')),
    recipient_id text COLLATE "C",
    village      text COLLATE "C",
    problems     jsonb,                  -- [{field, code, id, en}]; NULL unless rejected
    submitted_at timestamptz NOT NULL,
    at           timestamptz NOT NULL,
    event_id     text        NOT NULL,
    PRIMARY KEY (kind, source, id),
    CHECK ((answer = 'rejected') = (problems IS NOT NULL))
);
CREATE INDEX submission_by_recipient ON submission (recipient_id) WHERE recipient_id IS NOT NULL;
CREATE INDEX submission_rejected ON submission (at, event_id) WHERE answer = 'rejected';
CREATE INDEX submission_rejected_by_village ON submission (village, at, event_id) WHERE answer = 'rejected';

CREATE TABLE decision (
    recipient_id      text COLLATE "C",
    programme         text        NOT NULL,
    revision          int         NOT NULL CHECK (revision > 0),
    programme_version int         NOT NULL,
    eligible          bool        NOT NULL,
    amount_idr        bigint      NOT NULL CHECK (amount_idr >= 0),
    reasons           jsonb       NOT NULL,  -- [{code, id, en}], the main one first
    details           text,                  -- sealed for `particulars`
    village           text COLLATE "C" NOT NULL,
    decile            int         NOT NULL,
    at                timestamptz NOT NULL,
    event_id          text        NOT NULL,
    PRIMARY KEY (recipient_id, programme)
);

CREATE TABLE payout (
    recipient_id   text COLLATE "C",
    cycle          text COLLATE "C",
    programme      text        NOT NULL,
    revision       int         NOT NULL CHECK (revision > 0),
    state          text        NOT NULL CHECK (state IN ('queued', 'ordered', 'confirmed', 'failed', 'cancelled')),
    amount_idr     bigint      NOT NULL CHECK (amount_idr >= 0),
    village        text COLLATE "C" NOT NULL,
    place          int,                      -- in the queue, when it was queued
    attempt        int,
    channel        text,
    reference      text,
    bank_reference text,
    code           text,                     -- why it failed or was cancelled
    text_id        text,
    text_en        text,
    confirmed_at   timestamptz,
    at             timestamptz NOT NULL,
    event_id       text        NOT NULL,
    PRIMARY KEY (recipient_id, cycle)
);
CREATE INDEX payout_failed ON payout (at, recipient_id, cycle) WHERE state = 'failed';
CREATE INDEX payout_failed_by_village ON payout (village, at, recipient_id, cycle) WHERE state = 'failed';

CREATE TABLE message (
    message_id   text COLLATE "C" PRIMARY KEY,
    recipient_id text COLLATE "C" NOT NULL,
    revision     int         NOT NULL CHECK (revision > 0),
    purpose      text        NOT NULL,
    channel      text        NOT NULL,
    template     text        NOT NULL,
    state        text        NOT NULL CHECK (state IN ('sent', 'delivered', 'failed', 'unknown')),
    code         text,
    village      text COLLATE "C",           -- NULL while the recipient is not registered here
    at           timestamptz NOT NULL,
    event_id     text        NOT NULL
);
CREATE INDEX message_by_recipient ON message (recipient_id);

-- Proposed and approved come on two topics, in any order.
CREATE TABLE cycle (
    cycle               text COLLATE "C" PRIMARY KEY,
    programme           text   NOT NULL,
    period              text   NOT NULL,
    mode                text,
    budget_idr          bigint NOT NULL CHECK (budget_idr >= 0),
    proposed_by         text,
    proposed_at         timestamptz,
    approved_by         text,
    approved_at         timestamptz,
    CHECK (proposed_at IS NOT NULL OR approved_at IS NOT NULL)
);

-- What no stage could process: where it came from and why. The body stays on its topic, under seal.
CREATE TABLE dead_letter (
    event_id          text PRIMARY KEY,
    service           text        NOT NULL,
    origin_topic      text        NOT NULL,
    origin_partition  int         NOT NULL,
    origin_offset     bigint      NOT NULL,
    origin_sequence   bigint,
    recipient_id      text COLLATE "C",
    code              text        NOT NULL,
    reason            text        NOT NULL,
    body_bytes        bigint      NOT NULL,
    body_held         bool        NOT NULL,  -- else it lies at its origin only
    partition         int         NOT NULL,  -- its own place: dead-letter.SERVICE, this partition and sequence
    sequence          bigint,
    at                timestamptz NOT NULL
);
CREATE INDEX dead_letter_by_time ON dead_letter (at, event_id);

-- One row for each event about a recipient: the whole story, in the order of time.
CREATE TABLE happening (
    recipient_id text COLLATE "C",
    at           timestamptz,
    event_id     text COLLATE "C",
    type         text   NOT NULL,  -- and so its topic
    cause_id     text,
    partition    int    NOT NULL,
    sequence     bigint,           -- NULL: it was put back by an operator
    facts        json   NOT NULL,  -- what is worth a line, by the event's own names; nothing that is sealed
    PRIMARY KEY (recipient_id, at, event_id)
);

-- How many there are of everything, kept with every change, so that an overview counts no table. `what` says of which
-- table, `name` by what (programme, cycle, source, channel, service), `village` is '' where there is none.
CREATE TABLE tally (
    what       text   NOT NULL CHECK (what IN
        ('recipient', 'registration', 'flag', 'decision', 'payout', 'cycle', 'message', 'dead_letter')),
    village    text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    state      text COLLATE "C" NOT NULL,
    rows       bigint NOT NULL CHECK (rows >= 0),
    amount_idr bigint NOT NULL CHECK (amount_idr >= 0),
    PRIMARY KEY (what, village, name, state)
) WITH (fillfactor = 70);

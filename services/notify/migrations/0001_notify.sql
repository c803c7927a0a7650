-- What is to be told to whom, what was told, and what became of each message. No text of a message is kept.

-- How to reach a recipient: sealed, opened right before a message leaves.
CREATE TABLE contact (
    recipient_id          text PRIMARY KEY,
    registration_revision int  NOT NULL CHECK (registration_revision >= 0),  -- 0: only a payout told so far
    contact               text                                               -- NULL: none was given
);

-- Reasons of programmes, few and the same for many: kept once.
CREATE TABLE reason (
    digest  bytea PRIMARY KEY CHECK (octet_length(digest) = 8),
    code    text NOT NULL,
    text_id text NOT NULL,
    text_en text NOT NULL
);

-- The current decision as this service knows it.
CREATE TABLE decision (
    recipient_id text   NOT NULL,
    programme    text   NOT NULL,
    revision     int    NOT NULL CHECK (revision > 0),
    eligible     bool   NOT NULL,
    amount_idr   bigint NOT NULL CHECK (amount_idr >= 0),
    reason       bytea  NOT NULL,
    PRIMARY KEY (recipient_id, programme)
);

CREATE TABLE message (
    message_id     text PRIMARY KEY,
    recipient_id   text        NOT NULL,
    purpose        text        NOT NULL,
    channel        text        NOT NULL CHECK (channel IN ('whatsapp', 'sms')),
    about          text        NOT NULL,  -- of what waits about one thing only the newest is told
    about_revision int         NOT NULL CHECK (about_revision >= 0),
    facts          jsonb,                 -- what a payout's message says; NULL: the decisions as they are when it leaves
    state          text        NOT NULL CHECK (state IN
        ('waiting', 'sending', 'not_needed', 'superseded', 'unreachable', 'unknown', 'sent', 'failed', 'delivered',
         'read')),
    code           text,                  -- why it is in this state, where there is a why
    template       text,
    language       text,
    created_at     timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    attempts       int         NOT NULL DEFAULT 0,
    claimed_until  timestamptz,
    -- when each became known; each leaves as one event, numbered by `revision`
    sent_at        timestamptz,
    delivered_at   timestamptz,
    failed_at      timestamptz,
    unknown_at     timestamptz,
    revision       int         NOT NULL DEFAULT 0,
    cause_id       text        NOT NULL,
    correlation_id text        NOT NULL,
    traceparent    text        NOT NULL,
    UNIQUE (recipient_id, purpose, channel),
    CHECK ((state = 'sending') = (claimed_until IS NOT NULL)),
    CHECK (revision = num_nonnulls(sent_at, delivered_at, failed_at, unknown_at))
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX message_waiting ON message (recipient_id, about) WHERE state = 'waiting';
CREATE INDEX message_due ON message (due_at, message_id) WHERE state = 'waiting';
CREATE INDEX message_claimed ON message (claimed_until) WHERE state = 'sending';
-- A message once made stays: its natural key is what keeps anybody from being told twice.
REVOKE DELETE ON message FROM salur_notify;

-- What a message told. Written with its claim; taken back when the message certainly did not arrive.
CREATE TABLE told (
    recipient_id text   NOT NULL,
    programme    text   NOT NULL,
    revision     int    NOT NULL,
    eligible     bool   NOT NULL,
    amount_idr   bigint NOT NULL,
    message_id   text   NOT NULL REFERENCES message,
    PRIMARY KEY (recipient_id, programme, revision)
);

-- For the report.
CREATE VIEW message_count AS
SELECT channel, split_part(purpose, ':', 1) AS kind, state, code, count(*) AS messages
FROM message
GROUP BY channel, kind, state, code;

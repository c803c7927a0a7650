-- Who was named in any valid submission. The row is the lock of everything known about this person, and is there
-- before it: a flag may come before the registration.
CREATE TABLE person (
    recipient_id  text   PRIMARY KEY CHECK (recipient_id ~ '^r-[0-9a-f]{32}$'),
    flag_revision int    NOT NULL DEFAULT 0 CHECK (flag_revision >= 0)
);

-- Every submission that was answered, once. What it said is kept as a keyed digest only.
CREATE TABLE submission (
    source         text        NOT NULL,
    id             text        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('registration', 'flag')),
    content_digest bytea       NOT NULL CHECK (octet_length(content_digest) = 16),
    recipient_id   text,
    answer         text        NOT NULL CHECK (answer IN ('registered', 'unchanged', 'flagged', 'rejected')),
    detail         text        CHECK (detail IN ('new', 'updated', 'identical', 'older')),
    problems       text[]      CHECK ((problems IS NOT NULL) = (answer = 'rejected')),  -- FIELD:CODE
    submitted_at   timestamptz,                                                         -- null: not plausible
    answered_at    timestamptz NOT NULL,
    PRIMARY KEY (source, id),
    CHECK (recipient_id IS NOT NULL OR answer = 'rejected'),
    CHECK (submitted_at IS NOT NULL OR answer = 'rejected'),
    CHECK ((detail IS NOT NULL) = (answer IN ('registered', 'unchanged')))
);

-- Further contents that came under an id already used; each was told so once.
CREATE TABLE reused_id (
    source         text        NOT NULL,
    id             text        NOT NULL,
    content_digest bytea       NOT NULL CHECK (octet_length(content_digest) = 16),
    answered_at    timestamptz NOT NULL,
    PRIMARY KEY (source, id, content_digest),
    FOREIGN KEY (source, id) REFERENCES submission
);

-- What is registered of a person now. won_*: the latest submission that said so, by (time, source, id).
CREATE TABLE recipient (
    recipient_id     text        PRIMARY KEY REFERENCES person,
    revision         int         NOT NULL CHECK (revision >= 1),
    registered_at    timestamptz NOT NULL,
    won_submitted_at timestamptz NOT NULL,
    won_source       text        NOT NULL,
    won_id           text        NOT NULL,
    content_digest   bytea       NOT NULL CHECK (octet_length(content_digest) = 16),
    family_id        text        NOT NULL CHECK (family_id ~ '^f-[0-9a-f]{32}$'),
    village          text        NOT NULL CHECK (village ~ '^[0-9]{10}$'),
    decile           int         NOT NULL CHECK (decile BETWEEN 1 AND 10),
    eligibility      text        NOT NULL,  -- sealed
    payment          text,                  -- sealed
    contact          text                   -- sealed
);

-- What is known of each exclusion flag of a person; won_* and since: the statement that decided.
CREATE TABLE flag (
    recipient_id     text        NOT NULL REFERENCES person,
    code             text        NOT NULL,
    raised           boolean     NOT NULL,
    since            date        NOT NULL,
    won_submitted_at timestamptz NOT NULL,
    won_source       text        NOT NULL,
    won_id           text        NOT NULL,
    PRIMARY KEY (recipient_id, code)
);

-- Submissions taken over HTTP: put on their topic in the same transaction, and waiting for their answer.
CREATE TABLE received (
    source         text        NOT NULL,
    id             text        NOT NULL,
    kind           text        NOT NULL CHECK (kind IN ('registration', 'flag')),
    content_digest bytea       NOT NULL CHECK (octet_length(content_digest) = 16),
    received_at    timestamptz NOT NULL,
    PRIMARY KEY (source, id)
);

-- How a recipient gets into `My aid`. None of it is part of the read model: a rebuild leaves it alone.
-- Everything here is short-lived and says nothing in the clear: NIKs are the recipient's ids, addresses and codes keyed
-- hashes, sessions hashes of their tokens.

-- Whoever asks leaves one row, known or not, and a worker sees later whether there is anybody to send a code to.
CREATE TABLE code_request (
    request_id   text        PRIMARY KEY,
    recipient_id text        NOT NULL,
    address_hash bytea       NOT NULL CHECK (octet_length(address_hash) = 32),
    state        text        NOT NULL CHECK (state IN ('asked', 'limited', 'issued', 'ignored')),
    asked_at     timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    wrong        int         NOT NULL DEFAULT 0 CHECK (wrong >= 0)
);
CREATE INDEX code_request_asked ON code_request (asked_at) WHERE state = 'asked';
CREATE INDEX code_request_by_recipient ON code_request (recipient_id, asked_at);
CREATE INDEX code_request_by_address ON code_request (address_hash, asked_at);

-- A code opens once. `request_id`: it came by phone and answers that request; NULL: an officer handed it out, and it
-- answers any request of its recipient.
CREATE TABLE code (
    code_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recipient_id text        NOT NULL,
    request_id   text        UNIQUE REFERENCES code_request ON DELETE CASCADE,
    officer      text,
    code_hash    bytea       NOT NULL CHECK (octet_length(code_hash) = 32),
    issued_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,
    CHECK ((request_id IS NULL) = (officer IS NOT NULL))
);
CREATE INDEX code_by_recipient ON code (recipient_id);

CREATE TABLE aid_session (
    token_hash   bytea       PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    recipient_id text        NOT NULL,
    opened_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);

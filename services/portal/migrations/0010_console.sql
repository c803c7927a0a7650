-- The officers' console: who is signed in, and the record of everything that officers saw and did.

-- On the way to the issuer and back: ten minutes, once.
CREATE TABLE sign_in (
    state_sha256 bytea PRIMARY KEY,
    nonce        text        NOT NULL,
    verifier     text        NOT NULL,  -- PKCE's
    onward       text        NOT NULL CHECK (onward LIKE '/console%'),
    created_at   timestamptz NOT NULL
);
CREATE INDEX sign_in_age ON sign_in (created_at);

-- The cookie is stored as its hash; the tokens are sealed with a key that follows from the cookie, so that whoever reads
-- this table can act in nobody's name.
CREATE TABLE officer_session (
    cookie_sha256  bytea PRIMARY KEY,
    subject        text        NOT NULL,
    name           text        NOT NULL,
    roles          text[]      NOT NULL,
    area           text COLLATE "C" NOT NULL CHECK (area ~ '^([0-9]{2}|[0-9]{4}|[0-9]{6}|[0-9]{10})?$'),
    tokens         bytea       NOT NULL,
    checked_until  timestamptz NOT NULL,  -- then the issuer is asked whether roles and area still stand
    seen_at        timestamptz NOT NULL,
    ends_at        timestamptz NOT NULL
);
CREATE INDEX officer_session_age ON officer_session (seen_at);

-- The record: it only grows, by the database's own rights. No name, NIK or phone of a recipient stands in it.
CREATE TABLE officer_record (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    subject  text        NOT NULL,
    name     text        NOT NULL,
    area     text COLLATE "C" NOT NULL,
    roles    text[]      NOT NULL,
    address  text        NOT NULL,   -- from where: the IP address
    action   text        NOT NULL,
    about    text COLLATE "C",       -- a recipient, a cycle, a dead letter …
    outcome  text        NOT NULL    -- shown, done, refused, missing, failed
);
CREATE INDEX officer_record_by_area ON officer_record (area, id);
CREATE INDEX officer_record_by_officer ON officer_record (subject, id);
CREATE INDEX officer_record_by_what ON officer_record (about, id) WHERE about IS NOT NULL;
REVOKE UPDATE, DELETE, TRUNCATE ON officer_record FROM salur_portal;

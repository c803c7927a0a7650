-- Programmes as they were in force. One row for every set of programmes that ever decided anything.
CREATE TABLE rulebook (
    rulebook_id   int         GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest        text        NOT NULL UNIQUE,
    programmes    jsonb       NOT NULL,
    first_used_at timestamptz NOT NULL DEFAULT now()
);
REVOKE UPDATE, DELETE ON rulebook FROM salur_eligibility;

-- The lock for everything that is settled within a family card.
CREATE TABLE family (
    family_id text PRIMARY KEY
);

-- What the registry said last of each person; facts stay sealed. Revisions never go backwards.
-- Flags may come before the registration: registration_revision is 0 until then.
CREATE TABLE recipient (
    recipient_id          text PRIMARY KEY,
    registration_revision int  NOT NULL DEFAULT 0 CHECK (registration_revision >= 0),
    flag_revision         int  NOT NULL DEFAULT 0 CHECK (flag_revision >= 0),
    flags                 text,
    registered_at         timestamptz,
    family_id             text REFERENCES family,
    village               text,
    decile                smallint CHECK (decile BETWEEN 1 AND 10),
    eligibility           text,
    payment               text,
    contact               text,
    -- The registration as the cause of decisions that follow from a new version of the rules.
    cause_id              text,
    correlation_id        text,
    traceparent           text,
    -- Under which rules the current decisions were made, all of them or later ones.
    rulebook_id           int REFERENCES rulebook,
    CHECK ((flag_revision = 0) = (flags IS NULL)),
    CHECK (
        num_nonnulls(
            nullif(registration_revision, 0), registered_at, family_id, village, decile, eligibility,
            cause_id, correlation_id, traceparent, rulebook_id
        ) IN (0, 10)
    )
) WITH (fillfactor = 85);
CREATE INDEX recipient_family ON recipient (family_id) WHERE family_id IS NOT NULL;
CREATE INDEX recipient_rulebook ON recipient (rulebook_id) WHERE rulebook_id IS NOT NULL;

-- The one current decision of each recipient in each programme.
CREATE TABLE decision (
    recipient_id          text        NOT NULL REFERENCES recipient,
    programme             text        NOT NULL,
    revision              int         NOT NULL CHECK (revision >= 1),
    programme_version     int         NOT NULL CHECK (programme_version >= 1),
    outcome               text        NOT NULL CHECK (outcome IN ('eligible', 'ineligible')),
    amount_idr            bigint      NOT NULL CHECK (amount_idr >= 0),
    reasons               text        NOT NULL CHECK (reasons <> ''), -- codes, with a space between them
    registration_revision int         NOT NULL CHECK (registration_revision >= 1),
    flag_revision         int         NOT NULL CHECK (flag_revision >= 0),
    decided_at            timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, programme),
    CHECK ((outcome = 'eligible') = (amount_idr > 0))
) WITH (fillfactor = 85);

-- Who of a family card is paid. Nobody: no row.
CREATE TABLE family_payee (
    family_id    text NOT NULL REFERENCES family,
    programme    text NOT NULL,
    recipient_id text NOT NULL,
    PRIMARY KEY (family_id, programme),
    FOREIGN KEY (recipient_id, programme) REFERENCES decision
) WITH (fillfactor = 85);

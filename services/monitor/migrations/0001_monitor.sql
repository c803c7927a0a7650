-- What stands and what stood, who is still to be told, and which account was paid for whom.

-- One row a raising. That the same is raised twice while it stands, or cleared twice, is refused here.
CREATE TABLE alert (
    rule       text        NOT NULL,
    about      text        NOT NULL,
    raising    int         NOT NULL CHECK (raising > 0),
    level      text        NOT NULL CHECK (level IN ('critical', 'warning', 'info')),
    since      timestamptz NOT NULL,
    value      float8      NOT NULL,
    threshold  float8      NOT NULL,
    runbook    text        NOT NULL,
    advice     jsonb       NOT NULL,
    raised_at  timestamptz NOT NULL,
    raised_id  text        NOT NULL UNIQUE,  -- id of its alert.raised, the cause of alert.cleared
    cleared_at timestamptz,
    PRIMARY KEY (rule, about, raising),
    CHECK (cleared_at >= raised_at)
);
CREATE UNIQUE INDEX alert_open ON alert (rule, about) WHERE cleared_at IS NULL;
CREATE INDEX alert_raised ON alert (raised_at DESC);
REVOKE DELETE ON alert FROM salur_monitor;

CREATE FUNCTION refuse_change_of_cleared_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'alert % about % is cleared', OLD.rule, OLD.about USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER cleared_once BEFORE UPDATE ON alert
    FOR EACH ROW WHEN (OLD.cleared_at IS NOT NULL) EXECUTE FUNCTION refuse_change_of_cleared_alert();

-- The last minute that was judged: a monitor that was started again and catches up does not judge what was judged.
CREATE TABLE judged (
    only_row bool PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);
INSERT INTO judged (until) VALUES ('-infinity');

-- Events to post to the webhook: the body is the event as it stands on its topic.
CREATE TABLE delivery (
    event_id      text        PRIMARY KEY,
    body          bytea       NOT NULL,
    due_at        timestamptz NOT NULL,
    attempts      int         NOT NULL DEFAULT 0,
    delivered_at  timestamptz,
    given_up_at   timestamptz,
    CHECK (num_nonnulls(delivered_at, given_up_at) <= 1)
);
CREATE INDEX delivery_due ON delivery (due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;

-- Who was paid to which account, by its fingerprint, and when last.
CREATE TABLE account_recipient (
    account      bytea       NOT NULL CHECK (octet_length(account) = 16),
    recipient_id bytea       NOT NULL CHECK (octet_length(recipient_id) = 16),
    paid_at      timestamptz NOT NULL,
    PRIMARY KEY (account, recipient_id)
);
CREATE INDEX account_recipient_old ON account_recipient (paid_at);

-- Accounts with more than one recipient: the few that are worth counting.
CREATE TABLE shared_account (
    account bytea PRIMARY KEY
);

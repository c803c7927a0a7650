-- Money. What must never happen is refused here, whatever the code above does:
-- an account never goes below zero, balances change only through the ledger, the ledger is append-only and moves the
-- money of an attempt in order and once, a payout changes its state only along the table, one payout a recipient and
-- cycle, one open cycle a programme, proposer and approver differ.

-- ---- decisions: the current one of each recipient and programme ----

CREATE TABLE decision (
    programme      text COLLATE "C" NOT NULL,
    recipient_id   text COLLATE "C" NOT NULL,
    revision       int NOT NULL CHECK (revision >= 1),
    eligible       boolean NOT NULL,
    amount_idr     bigint NOT NULL CHECK (amount_idr >= 0),
    village        text NOT NULL,
    decile         smallint NOT NULL CHECK (decile BETWEEN 1 AND 10),
    waiting_since  timestamptz NOT NULL,
    received_at    timestamptz NOT NULL,  -- by this service; a ranked cycle's cut-off looks at it
    payment        text,                  -- sealed for `payment`; kept only where it may be needed
    contact        text,                  -- sealed for `contact`; passed on, never opened here
    cause_id       text NOT NULL,
    correlation_id text NOT NULL,
    traceparent    text NOT NULL,
    -- Number of the programme's cycle in which this decision was last dealt with. 0: it is due in any cycle;
    -- 2147483647: nothing will ever follow from it (ineligible, and nothing is left to cancel).
    settled_in     int NOT NULL CHECK (settled_in >= 0),
    PRIMARY KEY (programme, recipient_id),
    CONSTRAINT account_only_when_eligible CHECK (eligible OR payment IS NULL)
);
CREATE INDEX decision_due ON decision (programme, settled_in, waiting_since, recipient_id)
    WHERE settled_in < 2147483647;

-- ---- cycles ----

CREATE TABLE cycle (
    cycle       text COLLATE "C" PRIMARY KEY,
    programme   text COLLATE "C" NOT NULL,
    period      text COLLATE "C" NOT NULL CHECK (period ~ '^\d{4}-(\d{2}|Q[1-4])$'),
    mode        text NOT NULL CHECK (mode IN ('continuous', 'ranked')),
    budget_idr  bigint NOT NULL CHECK (budget_idr > 0),
    state       text NOT NULL CHECK (state IN ('proposed', 'open', 'closing', 'closed')),
    proposed_by text NOT NULL CHECK (btrim(proposed_by) <> ''),
    proposed_at timestamptz NOT NULL,
    number      int CHECK (number BETWEEN 1 AND 2000000000),  -- counts the programme's approved cycles
    approved_by text,
    approved_at timestamptz,                                  -- also the cut-off of a ranked cycle
    closed_at   timestamptz,
    UNIQUE (programme, period),
    UNIQUE (programme, number),
    CONSTRAINT approved_as_a_whole CHECK (
        (state = 'proposed') = (approved_by IS NULL) AND (approved_by IS NULL) = (approved_at IS NULL)
        AND (approved_by IS NULL) = (number IS NULL)
    ),
    CONSTRAINT four_eyes CHECK (
        lower(regexp_replace(btrim(approved_by), '\s+', ' ', 'g'))
        <> lower(regexp_replace(btrim(proposed_by), '\s+', ' ', 'g'))
    ),
    CONSTRAINT closed_has_a_time CHECK ((state = 'closed') = (closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX cycle_open ON cycle (programme) WHERE state = 'open';

-- ---- the ledger ----

CREATE TABLE account (
    cycle       text COLLATE "C" NOT NULL REFERENCES cycle,
    name        text COLLATE "C" NOT NULL
                CHECK (name IN ('treasury', 'budget', 'reserved', 'in_transit', 'paid', 'returned')),
    balance_idr bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (cycle, name),
    CONSTRAINT never_overdrawn CHECK (CASE name WHEN 'treasury' THEN balance_idr <= 0 ELSE balance_idr >= 0 END)
) WITH (fillfactor = 50);

CREATE TABLE transfer (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cycle          text COLLATE "C" NOT NULL,  -- has accounts, says the trigger below; accounts have a cycle
    recipient_id   text COLLATE "C",
    attempt        int CHECK (attempt >= 1),
    kind           text NOT NULL,
    debit_account  text NOT NULL,
    credit_account text NOT NULL,
    amount_idr     bigint NOT NULL CHECK (amount_idr > 0),
    at             timestamptz NOT NULL,
    CONSTRAINT kind_fits_accounts CHECK ((kind, debit_account, credit_account) IN (
        ('fund', 'treasury', 'budget'),
        ('reserve', 'budget', 'reserved'),
        ('send', 'reserved', 'in_transit'),
        ('post', 'in_transit', 'paid'),
        ('void', 'reserved', 'returned'),
        ('void', 'in_transit', 'returned'),
        ('regrant', 'returned', 'budget'),
        ('close', 'budget', 'treasury')
    )),
    CONSTRAINT attempt_or_cycle CHECK (
        (kind IN ('reserve', 'send', 'post', 'void')) = (recipient_id IS NOT NULL)
        AND (recipient_id IS NULL) = (attempt IS NULL)
    )
);
CREATE UNIQUE INDEX transfer_once ON transfer (recipient_id, cycle, attempt, kind) WHERE recipient_id IS NOT NULL;
CREATE UNIQUE INDEX transfer_ends_once ON transfer (recipient_id, cycle, attempt) WHERE kind IN ('post', 'void');
CREATE UNIQUE INDEX transfer_paid_once ON transfer (recipient_id, cycle) WHERE kind = 'post';
CREATE UNIQUE INDEX transfer_of_cycle_once ON transfer (cycle, kind) WHERE kind IN ('fund', 'close');

-- Balances follow from the ledger and from nothing else. Accounts are locked in order, so that no two writers deadlock.
CREATE FUNCTION post_transfers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = payout, pg_temp AS $$
DECLARE
    moved int;
    expected int;
BEGIN
    INSERT INTO account (cycle, name)
    SELECT n.cycle, a.name
    FROM new_transfer AS n
    CROSS JOIN unnest('{treasury,budget,reserved,in_transit,paid,returned}'::text[]) AS a (name)
    WHERE n.kind = 'fund'
    ORDER BY 1, 2;

    -- An attempt moves its whole amount, step after step: reserve, send, then post or void.
    IF EXISTS (
        SELECT
        FROM new_transfer AS n
        LEFT JOIN transfer AS r
            ON (r.recipient_id, r.cycle, r.attempt, r.kind) = (n.recipient_id, n.cycle, n.attempt, 'reserve')
        WHERE n.kind IN ('send', 'post', 'void') AND r.amount_idr IS DISTINCT FROM n.amount_idr
    ) THEN
        RAISE EXCEPTION 'a transfer moves another amount than was reserved' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT
        FROM new_transfer AS n
        LEFT JOIN transfer AS s
            ON (s.recipient_id, s.cycle, s.attempt, s.kind) = (n.recipient_id, n.cycle, n.attempt, 'send')
        WHERE n.kind IN ('post', 'void') AND (s.id IS NOT NULL) <> (n.debit_account = 'in_transit')
    ) THEN
        RAISE EXCEPTION 'a transfer takes money from where it does not lie' USING ERRCODE = 'check_violation';
    END IF;

    WITH change AS MATERIALIZED (
        SELECT c.cycle, c.name, sum(c.amount_idr) AS amount_idr
        FROM (
            SELECT cycle, debit_account AS name, -amount_idr AS amount_idr FROM new_transfer
            UNION ALL
            SELECT cycle, credit_account, amount_idr FROM new_transfer
        ) AS c
        GROUP BY c.cycle, c.name
    ), locked AS MATERIALIZED (
        SELECT a.cycle, a.name
        FROM account AS a JOIN change USING (cycle, name)
        ORDER BY a.cycle, a.name
        FOR NO KEY UPDATE OF a
    ), updated AS (
        UPDATE account AS a
        SET balance_idr = a.balance_idr + change.amount_idr
        FROM change JOIN locked USING (cycle, name)
        WHERE (a.cycle, a.name) = (change.cycle, change.name)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM updated), (SELECT count(*) FROM change) INTO moved, expected;
    IF moved <> expected THEN
        RAISE EXCEPTION 'a transfer names a cycle without accounts: it was never funded'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER post_transfers AFTER INSERT ON transfer
    REFERENCING NEW TABLE AS new_transfer FOR EACH STATEMENT EXECUTE FUNCTION post_transfers();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---- payouts ----

CREATE TABLE payout (
    recipient_id      text COLLATE "C" NOT NULL,
    cycle             text COLLATE "C" NOT NULL REFERENCES cycle,
    programme         text COLLATE "C" NOT NULL,
    state             text NOT NULL CHECK (state IN
                      ('queued', 'ordered', 'claimed', 'unknown', 'unsent', 'confirmed', 'failed', 'cancelled')),
    attempt           int NOT NULL CHECK (attempt >= 1),
    revision          int NOT NULL CHECK (revision >= 1),
    decision_revision int NOT NULL CHECK (decision_revision >= 1),
    amount_idr        bigint NOT NULL CHECK (amount_idr >= 0),
    village           text NOT NULL,
    rank_class        smallint NOT NULL,
    rank_decile       smallint NOT NULL,
    waiting_since     timestamptz NOT NULL,
    channel           text COLLATE "C" NOT NULL,
    reference         text COLLATE "C" NOT NULL UNIQUE CHECK (length(reference) BETWEEN 20 AND 64),
    since             timestamptz NOT NULL,                           -- of this attempt's current state
    sends             int NOT NULL DEFAULT 0 CHECK (sends >= 0),      -- of this attempt's reference
    asks              int NOT NULL DEFAULT 0 CHECK (asks >= 0),       -- since it was last sent
    sent_at           timestamptz,                                    -- last
    due_at            timestamptz,
    code              text,
    bank_reference    text,
    cause_id          text NOT NULL,
    correlation_id    text NOT NULL,
    traceparent       text NOT NULL,
    PRIMARY KEY (recipient_id, cycle),
    CONSTRAINT zero_is_never_paid CHECK (amount_idr > 0 OR state IN ('failed', 'cancelled')),
    CONSTRAINT sent_fits_state CHECK (CASE
        WHEN state IN ('queued', 'ordered') THEN sends = 0
        WHEN state IN ('claimed', 'unknown', 'unsent', 'confirmed') THEN sends >= 1 AND sent_at IS NOT NULL
        ELSE true END),
    CONSTRAINT code_fits_state CHECK ((state IN ('failed', 'cancelled')) = (code IS NOT NULL)),
    CONSTRAINT confirmed_by_the_bank CHECK ((state = 'confirmed') = (bank_reference IS NOT NULL)),
    CONSTRAINT due_fits_state CHECK ((state IN ('ordered', 'claimed', 'unknown', 'unsent')) = (due_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX payout_queue ON payout (cycle, rank_class, rank_decile, waiting_since, recipient_id)
    INCLUDE (amount_idr) WHERE state = 'queued';
CREATE INDEX payout_to_send ON payout (channel, due_at) WHERE state IN ('ordered', 'unsent');
CREATE INDEX payout_to_ask ON payout (channel, due_at) WHERE state IN ('claimed', 'unknown');

-- The tables of domain/states.py; a test compares them. The condition is in the trigger, so that only a violation calls
-- a function.
CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a % may not become %', TG_TABLE_NAME, NEW.state USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER legal_birth BEFORE INSERT ON cycle
    FOR EACH ROW WHEN (NEW.state <> 'proposed') EXECUTE FUNCTION refuse_transition();
CREATE TRIGGER legal_transition BEFORE UPDATE ON cycle
    FOR EACH ROW WHEN (
        OLD.state <> NEW.state
        AND OLD.state || '>' || NEW.state <> ALL ('{proposed>open,open>closing,closing>closed}'::text[])
    ) EXECUTE FUNCTION refuse_transition();
CREATE TRIGGER legal_birth BEFORE INSERT ON payout
    FOR EACH ROW WHEN (NEW.state NOT IN ('queued', 'ordered', 'failed')) EXECUTE FUNCTION refuse_transition();
CREATE TRIGGER legal_transition BEFORE UPDATE ON payout
    FOR EACH ROW WHEN (
        (OLD.state <> NEW.state OR OLD.attempt <> NEW.attempt)
        AND OLD.state || '>' || NEW.state <> ALL (
            '{queued>ordered,queued>failed,queued>cancelled,ordered>claimed,ordered>cancelled,'
            'claimed>confirmed,claimed>failed,claimed>unknown,claimed>unsent,'
            'unknown>confirmed,unknown>failed,unknown>unsent,'
            'unsent>claimed,unsent>cancelled,unsent>confirmed,unsent>failed,'
            'failed>ordered,failed>queued,failed>failed,cancelled>ordered,cancelled>queued,cancelled>failed}'::text[]
        )
    ) EXECUTE FUNCTION refuse_transition();

-- An attempt is followed by the next number, only after it has ended without payment, and revisions only grow.
CREATE FUNCTION check_attempt() RETURNS trigger LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RAISE EXCEPTION 'a payout may not go from attempt % (%) to attempt % (%)',
        OLD.attempt, OLD.state, NEW.attempt, NEW.state USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER next_attempt BEFORE UPDATE ON payout
    FOR EACH ROW WHEN (
        NEW.attempt <> OLD.attempt + (OLD.state IN ('failed', 'cancelled'))::int
        OR NEW.revision < OLD.revision
        OR NEW.decision_revision < OLD.decision_revision
        OR (NEW.attempt = OLD.attempt AND NEW.reference <> OLD.reference)
        OR (NEW.state NOT IN ('queued', 'failed') AND NEW.attempt = OLD.attempt AND OLD.state <> 'queued'
            AND NEW.amount_idr <> OLD.amount_idr)
    ) EXECUTE FUNCTION check_attempt();

-- What is left of an attempt once the next one has begun.
CREATE TABLE past_attempt (
    recipient_id      text COLLATE "C" NOT NULL,
    cycle             text COLLATE "C" NOT NULL,
    attempt           int NOT NULL,
    reference         text COLLATE "C" NOT NULL UNIQUE,
    decision_revision int NOT NULL,
    amount_idr        bigint NOT NULL,
    state             text NOT NULL CHECK (state IN ('failed', 'cancelled')),
    code              text NOT NULL,
    sends             int NOT NULL,
    since             timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, cycle, attempt),
    FOREIGN KEY (recipient_id, cycle) REFERENCES payout
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON past_attempt
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a bank said that cannot be true; each is for a person to look at.
CREATE TABLE contradiction (
    reference    text COLLATE "C" NOT NULL,
    detail       text NOT NULL,
    first_at     timestamptz NOT NULL,
    PRIMARY KEY (reference, detail)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON contradiction
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- ---- what the running service may do ----

REVOKE UPDATE, DELETE, TRUNCATE ON transfer, past_attempt, contradiction FROM salur_payout;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON account FROM salur_payout;
REVOKE DELETE, TRUNCATE ON decision, payout FROM salur_payout;
REVOKE UPDATE, DELETE, TRUNCATE ON cycle FROM salur_payout;
GRANT UPDATE (state, number, approved_by, approved_at, closed_at) ON cycle TO salur_payout;

-- ---- for the report: docs/reference/payout.md describes these ----

-- Each eligible decision with its order, or the reason why it has none.
CREATE VIEW standing AS
SELECT d.programme, d.recipient_id, d.revision AS decision_revision, d.amount_idr, c.cycle,
    CASE
        WHEN c.cycle IS NULL THEN 'no_open_cycle'
        WHEN d.settled_in < c.number THEN 'not_yet_considered'
        ELSE coalesce(p.state, 'lost')
    END AS standing,
    p.code, q.place, p.attempt, p.reference, p.since
FROM decision AS d
LEFT JOIN cycle AS c ON c.programme = d.programme AND c.state = 'open'
LEFT JOIN payout AS p ON (p.recipient_id, p.cycle) = (d.recipient_id, c.cycle)
LEFT JOIN (
    SELECT recipient_id, cycle, row_number() OVER (
        PARTITION BY cycle ORDER BY rank_class, rank_decile, waiting_since, recipient_id
    ) AS place
    FROM payout WHERE state = 'queued'
) AS q ON (q.recipient_id, q.cycle) = (d.recipient_id, c.cycle)
WHERE d.eligible;

-- A cycle's accounts side by side with its payouts.
CREATE VIEW cycle_books AS
SELECT c.cycle, c.programme, c.period, c.mode, c.state, c.budget_idr,
    coalesce(-b.treasury, 0) AS funded_idr, coalesce(b.budget, 0) AS available_idr,
    coalesce(b.reserved, 0) AS reserved_idr, coalesce(b.in_transit, 0) AS in_transit_idr,
    coalesce(b.paid, 0) AS paid_idr, coalesce(b.returned, 0) AS returned_idr,
    coalesce(p.queued, 0) AS queued, coalesce(p.queued_idr, 0) AS queued_idr,
    coalesce(p.ordered, 0) AS ordered, coalesce(p.at_the_bank, 0) AS at_the_bank,
    coalesce(p.confirmed, 0) AS confirmed, coalesce(p.failed, 0) AS failed, coalesce(p.cancelled, 0) AS cancelled
FROM cycle AS c
LEFT JOIN (
    SELECT cycle,
        max(balance_idr) FILTER (WHERE name = 'treasury') AS treasury,
        max(balance_idr) FILTER (WHERE name = 'budget') AS budget,
        max(balance_idr) FILTER (WHERE name = 'reserved') AS reserved,
        max(balance_idr) FILTER (WHERE name = 'in_transit') AS in_transit,
        max(balance_idr) FILTER (WHERE name = 'paid') AS paid,
        max(balance_idr) FILTER (WHERE name = 'returned') AS returned
    FROM account GROUP BY cycle
) AS b USING (cycle)
LEFT JOIN (
    SELECT cycle,
        count(*) FILTER (WHERE state = 'queued') AS queued,
        sum(amount_idr) FILTER (WHERE state = 'queued') AS queued_idr,
        count(*) FILTER (WHERE state = 'ordered') AS ordered,
        count(*) FILTER (WHERE state IN ('claimed', 'unknown', 'unsent')) AS at_the_bank,
        count(*) FILTER (WHERE state = 'confirmed') AS confirmed,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        count(*) FILTER (WHERE state = 'cancelled') AS cancelled
    FROM payout GROUP BY cycle
) AS p USING (cycle);

-- Empty as long as the books are right. The constraints above should make every line of it impossible.
CREATE VIEW ledger_problem AS
WITH moved AS (
    SELECT cycle, name, sum(amount_idr) AS balance_idr
    FROM (
        SELECT cycle, debit_account AS name, -amount_idr AS amount_idr FROM transfer
        UNION ALL
        SELECT cycle, credit_account, amount_idr FROM transfer
    ) AS t GROUP BY cycle, name
), lies AS (
    SELECT cycle,
        CASE WHEN state = 'ordered' THEN 'reserved' WHEN state = 'confirmed' THEN 'paid' ELSE 'in_transit' END AS name,
        sum(amount_idr) AS amount_idr
    FROM payout WHERE state IN ('ordered', 'claimed', 'unknown', 'unsent', 'confirmed')
    GROUP BY 1, 2
)
SELECT 'balance_is_not_the_sum_of_transfers' AS problem, a.cycle, a.name AS subject,
    a.balance_idr - coalesce(m.balance_idr, 0) AS difference_idr
FROM account AS a LEFT JOIN moved AS m USING (cycle, name)
WHERE a.balance_idr <> coalesce(m.balance_idr, 0)
UNION ALL
SELECT 'accounts_do_not_add_up_to_zero', cycle, 'all', sum(balance_idr)
FROM account GROUP BY cycle HAVING sum(balance_idr) <> 0
UNION ALL
SELECT 'balance_is_not_what_payouts_say', a.cycle, a.name, a.balance_idr - coalesce(l.amount_idr, 0)
FROM account AS a LEFT JOIN lies AS l USING (cycle, name)
WHERE a.name IN ('reserved', 'in_transit', 'paid') AND a.balance_idr <> coalesce(l.amount_idr, 0)
UNION ALL
SELECT 'funded_otherwise_than_approved', c.cycle, 'treasury', coalesce(t.amount_idr, 0) - c.budget_idr
FROM cycle AS c LEFT JOIN transfer AS t ON t.cycle = c.cycle AND t.kind = 'fund'
WHERE c.state <> 'proposed' AND t.amount_idr IS DISTINCT FROM c.budget_idr
UNION ALL
SELECT 'confirmed_without_post', p.cycle, p.recipient_id, p.amount_idr
FROM payout AS p
LEFT JOIN transfer AS t
    ON (t.recipient_id, t.cycle, t.attempt, t.kind) = (p.recipient_id, p.cycle, p.attempt, 'post')
WHERE p.state = 'confirmed' AND t.amount_idr IS DISTINCT FROM p.amount_idr
UNION ALL
SELECT 'posted_without_confirmation', t.cycle, t.recipient_id, t.amount_idr
FROM transfer AS t
LEFT JOIN payout AS p ON (p.recipient_id, p.cycle, p.attempt) = (t.recipient_id, t.cycle, t.attempt)
WHERE t.kind = 'post' AND p.state IS DISTINCT FROM 'confirmed';

-- Every reference that was ever made, with where it stands: the bank's books are compared with this, line by line.
CREATE VIEW reference_book AS
SELECT reference, recipient_id, cycle, attempt, amount_idr, state, code, sends, bank_reference, since FROM payout
UNION ALL
SELECT reference, recipient_id, cycle, attempt, amount_idr, state, code, sends, NULL, since FROM past_attempt;

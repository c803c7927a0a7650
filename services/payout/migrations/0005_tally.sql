-- How many payouts of a cycle stand in each state, and their rupiah: officers ask for it, and counting the payouts takes
-- minutes where there are millions. Every statement that moves payouts adds what it changed, as rows of their own, so that
-- nobody waits for anybody; what a cycle has is their sum, and the service folds them together from time to time.
-- The payouts that are there are counted once, here, while nobody may write.
CREATE TABLE tally (
    cycle      text COLLATE "C" NOT NULL,
    state      text NOT NULL,
    payouts    bigint NOT NULL,
    amount_idr bigint NOT NULL
);
REVOKE TRUNCATE ON tally FROM salur_payout;

CREATE FUNCTION count_payouts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = payout, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO tally (cycle, state, payouts, amount_idr)
        SELECT cycle, state, count(*), sum(amount_idr) FROM new_payout GROUP BY cycle, state;
    ELSE
        INSERT INTO tally (cycle, state, payouts, amount_idr)
        SELECT c.cycle, c.state, sum(c.payouts), sum(c.amount_idr)
        FROM (
            SELECT cycle, state, 1 AS payouts, amount_idr FROM new_payout
            UNION ALL
            SELECT cycle, state, -1, -amount_idr FROM old_payout
        ) AS c
        GROUP BY c.cycle, c.state
        HAVING sum(c.payouts) <> 0 OR sum(c.amount_idr) <> 0;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER count_inserted AFTER INSERT ON payout
    REFERENCING NEW TABLE AS new_payout FOR EACH STATEMENT EXECUTE FUNCTION count_payouts();
CREATE TRIGGER count_moved AFTER UPDATE ON payout
    REFERENCING OLD TABLE AS old_payout NEW TABLE AS new_payout FOR EACH STATEMENT EXECUTE FUNCTION count_payouts();

INSERT INTO tally (cycle, state, payouts, amount_idr)
SELECT cycle, state, count(*), sum(amount_idr) FROM payout GROUP BY cycle, state;

-- As before, with the counts from the tally.
CREATE OR REPLACE VIEW cycle_books AS
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
        (sum(payouts) FILTER (WHERE state = 'queued'))::bigint AS queued,
        sum(amount_idr) FILTER (WHERE state = 'queued') AS queued_idr,
        (sum(payouts) FILTER (WHERE state = 'ordered'))::bigint AS ordered,
        (sum(payouts) FILTER (WHERE state IN ('claimed', 'unknown', 'unsent')))::bigint AS at_the_bank,
        (sum(payouts) FILTER (WHERE state = 'confirmed'))::bigint AS confirmed,
        (sum(payouts) FILTER (WHERE state = 'failed'))::bigint AS failed,
        (sum(payouts) FILTER (WHERE state = 'cancelled'))::bigint AS cancelled
    FROM tally GROUP BY cycle
) AS p USING (cycle);

-- As before, and the tally is what the payouts say.
CREATE OR REPLACE VIEW ledger_problem AS
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
WHERE t.kind = 'post' AND p.state IS DISTINCT FROM 'confirmed'
UNION ALL
SELECT 'tally_is_not_what_payouts_say', cycle, state, sum(amount_idr)
FROM (
    SELECT cycle, state, payouts, amount_idr FROM tally
    UNION ALL
    SELECT cycle, state, -1, -amount_idr FROM payout
) AS t
GROUP BY cycle, state HAVING sum(payouts) <> 0 OR sum(amount_idr) <> 0;

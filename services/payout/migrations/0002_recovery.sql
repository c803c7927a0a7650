-- What a restored database (`salur recover payout`) has to be careful about.

-- When the database was recovered in whose lost part this cycle may have been paid: nothing of that was sent later.
ALTER TABLE cycle ADD COLUMN doubtful_since timestamptz;
GRANT UPDATE (doubtful_since) ON cycle TO salur_payout;

CREATE TABLE recovery (
    at timestamptz PRIMARY KEY
);
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON recovery FROM salur_payout;

-- Whom the lost database may have paid in a doubtful cycle although no event tells it. The bank is asked about the
-- references of these attempts before anything more is sent. `held`: it has what the books cannot take in, and a person
-- must look.
CREATE TABLE doubt (
    recipient_id text COLLATE "C" NOT NULL,
    cycle        text COLLATE "C" NOT NULL REFERENCES cycle,
    programme    text COLLATE "C" NOT NULL,
    attempt_from int NOT NULL CHECK (attempt_from >= 1),
    attempt_max  int NOT NULL,  -- below attempt_from: nothing can have been sent
    lost_idr     bigint,        -- of such an order; null: the decisions of that time granted different amounts
    state        text NOT NULL CHECK (state IN ('open', 'clear', 'held')),
    due_at       timestamptz NOT NULL,
    PRIMARY KEY (recipient_id, cycle)
);
CREATE INDEX doubt_open ON doubt (programme, due_at) WHERE state = 'open';
REVOKE DELETE, TRUNCATE ON doubt FROM salur_payout;

-- A cycle's orders may be known without the failure whose money they were given. The treasury advances that until the
-- failure is known again.
ALTER TABLE transfer DROP CONSTRAINT kind_fits_accounts;
ALTER TABLE transfer ADD CONSTRAINT kind_fits_accounts CHECK ((kind, debit_account, credit_account) IN (
    ('fund', 'treasury', 'budget'),
    ('reserve', 'budget', 'reserved'),
    ('send', 'reserved', 'in_transit'),
    ('post', 'in_transit', 'paid'),
    ('void', 'reserved', 'returned'),
    ('void', 'in_transit', 'returned'),
    ('regrant', 'returned', 'budget'),
    ('close', 'budget', 'treasury'),
    ('advance', 'treasury', 'budget'),
    ('repay', 'budget', 'treasury')
));
CREATE INDEX transfer_advanced ON transfer (cycle) WHERE kind IN ('advance', 'repay');

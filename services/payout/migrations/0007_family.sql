-- A programme that pays one of a family pays it once a period, also when another one is paid from now on: who was payee
-- died, left, or was excluded after the money went. `family_id` is the card's as the decision named it when the attempt
-- began. Decisions of before this version name none; they are not held back until the next one about them.
ALTER TABLE decision ADD COLUMN family_id text COLLATE "C";
ALTER TABLE payout ADD COLUMN family_id text COLLATE "C";
CREATE UNIQUE INDEX payout_family_once ON payout (family_id, cycle)
    WHERE family_id IS NOT NULL AND state IN ('ordered', 'claimed', 'unknown', 'unsent', 'confirmed');

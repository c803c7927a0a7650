-- A subject and a mere name cannot be compared: whoever has an account could propose by it and approve through a program
-- on the machine under somebody else's name. So both acts come by the same door. What a recovery wrote (an approval of
-- which nobody knows any more whose it was) is neither.
ALTER TABLE cycle
    DROP CONSTRAINT four_eyes,
    ADD CONSTRAINT four_eyes CHECK (
        approved_by IS NULL OR approved_by = 'lost in a restore' OR CASE
            WHEN (proposed_by ~ '\[[^][]+\]$') <> (approved_by ~ '\[[^][]+\]$') THEN false
            WHEN proposed_by ~ '\[[^][]+\]$'
            THEN substring(approved_by FROM '\[[^][]+\]$') <> substring(proposed_by FROM '\[[^][]+\]$')
            ELSE lower(regexp_replace(btrim(approved_by), '\s+', ' ', 'g'))
              <> lower(regexp_replace(btrim(proposed_by), '\s+', ' ', 'g'))
        END
    );

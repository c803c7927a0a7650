-- Officers act by their own tokens and stand as "Name [subject]". The subject is the person: where both acts have one it
-- decides, whatever the names say; else the names do, as before, so that nobody approves the own proposal by going
-- through a program on the machine.
ALTER TABLE cycle
    DROP CONSTRAINT four_eyes,
    ADD CONSTRAINT four_eyes CHECK (
        CASE WHEN proposed_by ~ '\[[^][]+\]$' AND approved_by ~ '\[[^][]+\]$'
            THEN substring(approved_by FROM '\[[^][]+\]$') <> substring(proposed_by FROM '\[[^][]+\]$')
            ELSE lower(regexp_replace(btrim(regexp_replace(approved_by, '\[[^][]+\]$', '')), '\s+', ' ', 'g'))
              <> lower(regexp_replace(btrim(regexp_replace(proposed_by, '\[[^][]+\]$', '')), '\s+', ' ', 'g'))
        END
    );

-- PostgreSQL looks a foreign key up row by row. The same is checked once for all rows of a statement; a person is never
-- deleted, which the service may not do.
ALTER TABLE recipient DROP CONSTRAINT recipient_recipient_id_fkey;
REVOKE DELETE, TRUNCATE ON person FROM salur_registry;

-- Plans are kept for a session: without these settings one that was made while the table was empty would read all of it.
CREATE FUNCTION refuse_unknown_person() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM written AS w
        WHERE NOT EXISTS (SELECT FROM person AS p WHERE p.recipient_id = w.recipient_id)
    ) THEN
        RAISE EXCEPTION 'a row of % names a person who is not known', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER known_person_inserted AFTER INSERT ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_person();

-- PostgreSQL looks a foreign key up row by row. The same is checked once for all rows of a statement; what is referred
-- to is never deleted, which the service may not do.
ALTER TABLE recipient DROP CONSTRAINT recipient_family_id_fkey;
ALTER TABLE decision DROP CONSTRAINT decision_recipient_id_fkey;
ALTER TABLE family_payee
    DROP CONSTRAINT family_payee_family_id_fkey,
    DROP CONSTRAINT family_payee_recipient_id_programme_fkey;
REVOKE DELETE, TRUNCATE ON family, recipient, decision FROM salur_eligibility;

-- Plans are kept for a session: without these settings one that was made while a table was empty would read all of it.
CREATE FUNCTION refuse_unknown_family() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM written AS w
        WHERE w.family_id IS NOT NULL AND NOT EXISTS (SELECT FROM family AS f WHERE f.family_id = w.family_id)
    ) THEN
        RAISE EXCEPTION 'a row of % names a family that is not known', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION refuse_unknown_recipient() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM written AS w
        WHERE NOT EXISTS (SELECT FROM recipient AS r WHERE r.recipient_id = w.recipient_id)
    ) THEN
        RAISE EXCEPTION 'a row of % names a recipient who is not known', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE FUNCTION refuse_undecided() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM written AS w
        WHERE NOT EXISTS (
            SELECT FROM decision AS d WHERE (d.recipient_id, d.programme) = (w.recipient_id, w.programme)
        )
    ) THEN
        RAISE EXCEPTION 'a row of % names a recipient without a decision', TG_TABLE_NAME
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER known_family_inserted AFTER INSERT ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_family();
CREATE TRIGGER known_family_updated AFTER UPDATE ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_family();
CREATE TRIGGER known_recipient_inserted AFTER INSERT ON decision
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_recipient();
CREATE TRIGGER known_family_inserted AFTER INSERT ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_family();
CREATE TRIGGER decided_inserted AFTER INSERT ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_undecided();
CREATE TRIGGER decided_updated AFTER UPDATE ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_undecided();

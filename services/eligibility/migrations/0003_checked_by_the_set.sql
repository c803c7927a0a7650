-- PostgreSQL looks a foreign key up row by row. The same is checked once for all rows of a statement; what is referred
-- to is never deleted, which the service may not do.
ALTER TABLE recipient DROP CONSTRAINT recipient_family_id_fkey;
ALTER TABLE decision DROP CONSTRAINT decision_recipient_id_fkey;
ALTER TABLE family_payee
    DROP CONSTRAINT family_payee_family_id_fkey,
    DROP CONSTRAINT family_payee_recipient_id_programme_fkey;
REVOKE DELETE, TRUNCATE ON family, recipient, decision FROM salur_eligibility;

CREATE TRIGGER known_family_inserted AFTER INSERT ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown('family', 'family_id');
CREATE TRIGGER known_family_updated AFTER UPDATE ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown('family', 'family_id');
CREATE TRIGGER known_recipient_inserted AFTER INSERT ON decision
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown('recipient', 'recipient_id');
CREATE TRIGGER known_family_inserted AFTER INSERT ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown('family', 'family_id');
CREATE TRIGGER decided_inserted AFTER INSERT ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_unknown('decision', 'recipient_id', 'programme');
CREATE TRIGGER decided_updated AFTER UPDATE ON family_payee
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION refuse_unknown('decision', 'recipient_id', 'programme');

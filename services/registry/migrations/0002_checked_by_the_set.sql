-- PostgreSQL looks a foreign key up row by row. The same is checked once for all rows of a statement; a person is never
-- deleted, which the service may not do.
ALTER TABLE recipient DROP CONSTRAINT recipient_recipient_id_fkey;
REVOKE DELETE, TRUNCATE ON person FROM salur_registry;

CREATE TRIGGER known_person_inserted AFTER INSERT ON recipient
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown('person', 'recipient_id');

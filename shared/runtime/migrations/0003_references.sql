-- What a foreign key demands of the rows that refer, checked once for all rows a statement wrote instead of row by row.
-- Arguments of the trigger: the table that is referred to, then the columns, which are called the same in both. As with
-- a foreign key a row with a null in one of them refers to nothing. That what is referred to stays is a matter of rights.
-- The statistics of a table that has just grown say that it is small, so only the look into its index is left to the
-- planner.
CREATE FUNCTION refuse_unknown() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    amiss boolean;
BEGIN
    EXECUTE (
        SELECT format(
            'SELECT EXISTS (SELECT FROM written AS w WHERE (%1$s) IS NOT NULL'
            ' AND NOT EXISTS (SELECT FROM %2$I.%3$I AS r WHERE (%4$s) = (%1$s)))',
            string_agg(format('w.%I', name), ', '), TG_TABLE_SCHEMA, TG_ARGV[0], string_agg(format('r.%I', name), ', ')
        )
        FROM unnest(TG_ARGV[1:]) AS name
    ) INTO amiss;
    IF amiss THEN
        RAISE EXCEPTION 'a row of % names a % that is not known', TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

-- Who let a stage go on that had stopped by itself, and why. A partition: it stood at a sequence gap, and what was lost
-- stays lost. No partition: the breaker had opened on a flood of poison.
CREATE TABLE resumption (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic             text,
    partition         int,
    expected_sequence bigint,
    next_offset       bigint,
    next_sequence     bigint,
    resumed_by        text        NOT NULL CHECK (btrim(resumed_by) <> ''),
    reason            text        NOT NULL CHECK (btrim(reason) <> ''),
    resumed_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (num_nonnulls(topic, partition, expected_sequence, next_offset, next_sequence) IN (0, 5)),
    CHECK (next_sequence >= expected_sequence)
);

-- The running service reads it. Only who owns the tables writes it, and nobody changes it.
DO $$
BEGIN
    EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON resumption FROM %I', 'salur_' || current_schema());
END
$$;
CREATE FUNCTION refuse_change_of_resumption() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'resumption is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON resumption
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_resumption();

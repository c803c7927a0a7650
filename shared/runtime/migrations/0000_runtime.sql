-- The three tables of the protocol; the same in every service's schema.

CREATE TABLE input_position (
    topic         text   NOT NULL,
    partition     int    NOT NULL CHECK (partition >= 0),
    next_offset   bigint NOT NULL CHECK (next_offset >= 0),
    next_sequence bigint NOT NULL DEFAULT 0 CHECK (next_sequence >= 0),
    PRIMARY KEY (topic, partition)
);

CREATE TABLE output_position (
    topic         text   NOT NULL,
    partition     int    NOT NULL CHECK (partition >= 0),
    next_sequence bigint NOT NULL DEFAULT 0 CHECK (next_sequence >= 0),
    digest        bytea  NOT NULL DEFAULT '\x' CHECK (octet_length(digest) IN (0, 32)),
    PRIMARY KEY (topic, partition)
);

CREATE TABLE outbox (
    topic          text   NOT NULL,
    partition      int    NOT NULL,
    first_sequence bigint NOT NULL,
    count          int    NOT NULL CHECK (count > 0),
    payload        bytea  NOT NULL,
    PRIMARY KEY (topic, partition, first_sequence)
);
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
-- Rows live for milliseconds: clean up after them early.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Messages whose dead letter stands on the topic although this database was restored to a moment before it: written by
-- `salur recover`, so that reading them again makes no second dead letter.
CREATE TABLE dead_lettered (
    topic          text   NOT NULL,
    partition      int    NOT NULL,
    message_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition, message_offset)
);

-- To which registration what is sealed belongs, as the decision of revision `registration_of` said it: an instance of the
-- version before takes a newer decision and leaves both as they are. Unknown: it was decided before this version.
-- `resealed_by`: the sequence of the `recipient.resealed` that the values were taken from, while `resealed_of` is the
-- row's revision.
ALTER TABLE decision
    ADD COLUMN registration_revision int CHECK (registration_revision >= 1),
    ADD COLUMN registration_of       int,
    ADD COLUMN resealed_by           bigint,
    ADD COLUMN resealed_of           int;

-- From which `recipient.resealed`, by its sequence, sealed values were taken, and for which revision. It says where they
-- came from while that is the row's revision; a later registration, or later flags, bring values of their own.
ALTER TABLE recipient
    ADD COLUMN values_resealed_by       bigint,
    ADD COLUMN values_resealed_revision int,
    ADD COLUMN flags_resealed_by        bigint,
    ADD COLUMN flags_resealed_revision  int;

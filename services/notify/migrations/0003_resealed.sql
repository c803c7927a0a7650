-- From which `recipient.resealed`, by its sequence, a contact was taken, and for which registration: it says where the
-- contact came from while that is the row's registration.
ALTER TABLE contact
    ADD COLUMN resealed_by       bigint,
    ADD COLUMN resealed_revision int;

-- Codes for `My aid`: somebody waits for each in front of a page, and after some minutes it opens nothing. So they go
-- before what is merely news, and are not sent once they have expired.
ALTER TABLE message ADD COLUMN urgent bool NOT NULL DEFAULT false;
ALTER TABLE message ADD COLUMN expires_at timestamptz;
DROP INDEX message_due;
CREATE INDEX message_due ON message (urgent DESC, due_at, message_id) WHERE state = 'waiting';

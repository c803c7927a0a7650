-- From where a sign-in was begun (an IPv4 address, an IPv6 network), so that nobody fills the table. The default is for
-- a portal of the release before, which may run beside this one and does not say it.
ALTER TABLE sign_in ADD COLUMN network text COLLATE "C" NOT NULL DEFAULT 'unknown';
CREATE INDEX sign_in_by_network ON sign_in (network, created_at);

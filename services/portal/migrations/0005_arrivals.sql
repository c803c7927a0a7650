-- Whoever asks for a code is counted by address first, and only then does anybody look who is asked about: a row comes
-- without a recipient (`came`), and gets one once the look-up process has answered.
ALTER TABLE code_request
    ALTER COLUMN recipient_id DROP NOT NULL,
    ADD COLUMN network_hash bytea CHECK (octet_length(network_hash) = 32), -- the address's wider network
    DROP CONSTRAINT code_request_state_check,
    ADD CONSTRAINT code_request_state_check CHECK (state IN ('came', 'asked', 'limited', 'issued', 'ignored')),
    ADD CONSTRAINT code_request_recipient_check CHECK ((recipient_id IS NULL) = (state = 'came'));
CREATE INDEX code_request_by_network ON code_request (network_hash, asked_at);

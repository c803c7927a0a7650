"""The embedded stack: a real Kafka, a real PostgreSQL and every service as processes of this machine.

`control.up` and `control.down` are what the command line calls; `kafka.EmbeddedKafka` and `postgres.EmbeddedPostgres`
stand alone, for tests.
"""

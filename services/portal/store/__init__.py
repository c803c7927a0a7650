"""Every SQL statement of this service, by what it is about."""

"""The published contract: AsyncAPI 3.0, one JSON Schema per event type and version, and an example of each."""

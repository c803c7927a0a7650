"""Looking inside: auditing stages, dead letters, topics, and one recipient's story. Reads; only a replay writes."""

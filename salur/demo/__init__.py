"""The whole flow on generated families: what `make demo` shows."""

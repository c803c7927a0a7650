"""Open figures: computed at fixed dates, rounded, for everyone."""

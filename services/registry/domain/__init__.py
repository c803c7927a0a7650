"""What the registry decides: pure functions and frozen types, no I/O, no clock."""

"""The rules of this stage: which message is due, what it says, and what becomes of it."""

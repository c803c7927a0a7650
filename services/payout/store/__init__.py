"""Every SQL statement of the payout service, one function each, by what it is about.

Locks are taken in one order, so that nothing deadlocks: cycle, decisions by (programme, recipient), payouts by
(recipient, cycle), doubts by the same, accounts (in the ledger's trigger), output positions. Only a sweep holds a cycle
and decisions while it wants payouts, and it skips those that are locked.
"""

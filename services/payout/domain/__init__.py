"""The rules of paying: states, ledger, budget, references and what a bank's answer means. Pure functions only."""

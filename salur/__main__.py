"""`python -m salur` is the command `salur`."""

from salur.main import app

app()

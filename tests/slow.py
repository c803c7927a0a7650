"""Tests that take minutes: `make test-everything` runs them too, `make test` has to end within twenty."""

import os

import pytest

EVERYTHING = bool(os.environ.get("SALUR_EVERYTHING"))

takes_minutes = pytest.mark.skipif(
    not EVERYTHING, reason="takes minutes: make test-everything runs it (SALUR_EVERYTHING=1)"
)

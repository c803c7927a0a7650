"""A bank, as seen from outside: bulk transfers shaped after SNAP BI, with the ways in which banks surprise."""

"""One recipient's story through every stage."""

"""My aid: what a recipient sees of the own aid, behind a code."""

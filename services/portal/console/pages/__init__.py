"""The console's pages, one file for each matter: what is asked, what is shown, what an officer may do there."""

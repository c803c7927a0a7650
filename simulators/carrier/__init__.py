"""A messaging carrier, as seen from outside: shaped like WhatsApp's Cloud API, with phones to look at."""

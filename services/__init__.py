import shared as shared  # before any library

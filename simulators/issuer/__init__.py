"""The simulated identity provider: officers sign in with it in the demo and the tests (OpenID Connect)."""

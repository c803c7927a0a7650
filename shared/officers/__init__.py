"""Officers (petugas): who they are, what they may do and where, and how a service knows it from their access token.

Every service checks the token itself. Nothing is trusted because another service passed it on.
"""

from shared.officers.access import Access, Authorization
from shared.officers.officer import IssuerAway, MayNot, NotSignedIn, Officer, Role
from shared.officers.verifier import Verifier

__all__ = ["Access", "Authorization", "IssuerAway", "MayNot", "NotSignedIn", "Officer", "Role", "Verifier"]

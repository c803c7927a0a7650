"""The rules of the portal, pure."""

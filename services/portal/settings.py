"""What the portal reads from its environment."""

from shared.settings import ServiceSettings


class PortalSettings(ServiceSettings):
    """Beside the common settings."""

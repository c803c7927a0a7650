"""What every process reads from its environment."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import SalurError


class CannotConnect(SalurError):
    """The settings cannot lead to any connection; the message names the variable."""


class _LeavesAtOnce(ssl.SSLObject):
    """Says goodbye on closing and does not wait for the other side's: with uvloop that wait can take its full 30 s."""

    def unwrap(self) -> None:
        with suppress(ssl.SSLWantReadError):
            super().unwrap()


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="SALUR_", extra="ignore", env_ignore_empty=True)

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """What these variables state; the rest from this process's own environment."""
        stated: dict[str, Any] = {name: v for name in cls.model_fields if (v := environment.get(variable(name)))}
        return cls(**stated)


def variable(name: str) -> str:
    """The environment variable of a field."""
    return f"SALUR_{name.upper()}"


class KafkaSettings(_Settings):
    """Where Kafka is and how to be let in; passed through to every client."""

    kafka: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    partitions: int = 8
    replication: int = 1

    @property
    def speaks_tls(self) -> bool:
        return self.kafka_security_protocol in ("SSL", "SASL_SSL")

    @property
    def signs_in(self) -> bool:
        return self.kafka_security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client. Raises CannotConnect."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka,
            "security_protocol": self.kafka_security_protocol,
        }
        if self.speaks_tls:
            options["ssl_context"] = self._trust()
        if self.signs_in:
            user, password = self.kafka_sasl_username, self.kafka_sasl_password
            if not user or not password:
                missing = variable("kafka_sasl_password" if user else "kafka_sasl_username")
                raise CannotConnect(
                    f"Kafka's protocol is {self.kafka_security_protocol}, but {missing} is not set",
                    hint=f"set it, or {variable('kafka_security_protocol')} where the broker asks for no name",
                )
            options |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": user,
                "sasl_plain_password": password.get_secret_value(),
            }
        return options

    def environment(self) -> dict[str, str]:
        """The variables by which another process gets these Kafka settings, the password among them."""
        values: dict[str, Any] = {name: getattr(self, name) for name in KafkaSettings.model_fields}
        if self.kafka_sasl_password:
            values["kafka_sasl_password"] = self.kafka_sasl_password.get_secret_value()
        if self.kafka_ca_file:
            values["kafka_ca_file"] = self.kafka_ca_file.expanduser().resolve()  # it may run in another folder
        return {variable(name): "" if value is None else str(value) for name, value in values.items()}

    def _trust(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.kafka_ca_file)
        except (OSError, ValueError) as error:
            raise CannotConnect(
                f"{variable('kafka_ca_file')}={self.kafka_ca_file} holds no certificate that can be read "
                f"({type(error).__name__})",
                hint="it must be a PEM file with the certificate of the authority that signed the brokers'",
            ) from None
        context.sslobject_class = _LeavesAtOnce
        return context


class PostgresSettings(_Settings):
    """Where PostgreSQL is; `{service}` in the address gives each service a database of its own."""

    postgres: SecretStr = SecretStr("postgresql://salur@127.0.0.1:5432/salur")

    def url(self, service: str) -> str:
        return self.postgres.get_secret_value().replace("{service}", service)


class OfficerSettings(_Settings):
    """Who says who an officer is: an OpenID Connect issuer, and where its tokens have what Salur asks for.

    Without an issuer no officer is let in anywhere. A claim's name with dots leads into an object.
    """

    oidc_issuer: str | None = None
    oidc_discovery: str | None = Field(default=None, description="Where the document is, if not below the issuer")
    oidc_audience: str = "salur"
    oidc_name_claim: str = "name"
    oidc_roles_claim: str = "salur_roles"
    oidc_area_claim: str = "salur_area"


class ProcessSettings(_Settings):
    """What each process needs, whatever it does."""

    keys: Path = Path(".salur/keys.json")
    http_host: str = "127.0.0.1"
    http_port: int = 0
    instance: int = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    nice: int = 0


class ServiceSettings(KafkaSettings, PostgresSettings, OfficerSettings, ProcessSettings):
    """What each service needs; its own settings extend this."""

    batch_messages_max: int = 2000
    fetch_bytes_min: int = Field(default=128 * 1024, ge=1, description="Kafka answers at once where it has so much")
    fetch_wait_ms: int = Field(default=100, ge=1, description="After so long it answers with whatever it has")
    event_bytes_max: int = 900_000
    session_timeout_ms: int = 10_000
    transaction_timeout_ms: int = 8_000
    key_wait_s: float = Field(default=60.0, ge=0)

"""What every process reads from its environment."""

import ssl
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KafkaSettings(BaseSettings):
    """Where Kafka is and how to be let in; passed through to every client."""

    model_config = SettingsConfigDict(env_prefix="SALUR_", extra="ignore")

    kafka: str = "127.0.0.1:9092"
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    partitions: int = 8
    replication: int = 1

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for any aiokafka client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka,
            "security_protocol": self.kafka_security_protocol,
        }
        if "SSL" in self.kafka_security_protocol.split("_"):
            options["ssl_context"] = ssl.create_default_context(cafile=self.kafka_ca_file)
        if self.kafka_security_protocol.startswith("SASL"):
            password = self.kafka_sasl_password
            options |= {
                "sasl_mechanism": self.kafka_sasl_mechanism,
                "sasl_plain_username": self.kafka_sasl_username,
                "sasl_plain_password": password.get_secret_value() if password else None,
            }
        return options


class PostgresSettings(BaseSettings):
    """Where PostgreSQL is; `{service}` in the address gives each service a database of its own."""

    model_config = SettingsConfigDict(env_prefix="SALUR_", extra="ignore")

    postgres: SecretStr = SecretStr("postgresql://salur@127.0.0.1:5432/salur")

    def url(self, service: str) -> str:
        return self.postgres.get_secret_value().replace("{service}", service)


class ServiceSettings(KafkaSettings, PostgresSettings):
    """What each service needs; its own settings extend this."""

    keys: Path = Path(".salur/keys.json")
    http_host: str = "127.0.0.1"
    http_port: int = 0
    instance: int = 0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    batch_messages_max: int = 2000
    event_bytes_max: int = 900_000
    nice: int = 0
    session_timeout_ms: int = 10_000
    transaction_timeout_ms: int = 8_000

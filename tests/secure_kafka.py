"""A broker of one machine that lets nobody in without TLS and a name (SCRAM-SHA-512), with an authority of its own."""

import ipaddress
import socket
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from salur.stack.broker_settings import Properties
from salur.stack.kafka import EmbeddedKafka
from salur.stack.ports import LOOPBACK
from shared import clock
from shared.settings import KafkaSettings

USER, PASSWORD = "salur", "correct horse"
_BROKER, _BROKER_PASSWORD = "broker", "battery staple"


_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Authority:
    """Signs certificates; `ca_file` is what clients trust."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(self._name, self._name, self._key.public_key())
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(_SIGNS, critical=True)  # without it Python 3.13 trusts no authority
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        self.certificate = made.add_extension(identifier, critical=False).sign(self._key, hashes.SHA256())
        self.ca_file = folder / f"{name}.pem"
        self.ca_file.write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def sign(self, name: str, address: str) -> Path:
        """A file with key and certificate of a server that is reached at this IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = _builder(subject, self._name, key.public_key())
        reached = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        made = made.add_extension(reached, critical=False).add_extension(signer, critical=False)
        certificate = made.sign(self._key, hashes.SHA256())
        path = self._folder / f"{name}.key.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        path.chmod(0o600)
        return path


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    at: datetime = clock.now()
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    made = made.serial_number(x509.random_serial_number())
    return made.not_valid_before(at - timedelta(days=1)).not_valid_after(at + timedelta(days=1))


class SecureKafka(EmbeddedKafka):
    """Its one listener for clients is SASL_SSL. Its certificate is for `address`, by default the one it has."""

    def __init__(self, home: Path, *, address: str = LOOPBACK, **options: Any) -> None:
        super().__init__(home, **options)
        self.authority = Authority(home, "authority")
        self._certificate = self.authority.sign("broker", address)

    @property
    def settings(self) -> KafkaSettings:
        """How a client is let in."""
        return KafkaSettings.of(
            {
                "SALUR_KAFKA": self.address,
                "SALUR_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
                "SALUR_KAFKA_SASL_USERNAME": USER,
                "SALUR_KAFKA_SASL_PASSWORD": PASSWORD,
                "SALUR_KAFKA_CA_FILE": str(self.authority.ca_file),
            }
        )

    def _settings(self) -> Properties:
        plain = super()._settings()
        module = "org.apache.kafka.common.security.scram.ScramLoginModule"
        return {
            **{key: str(value).replace("PLAINTEXT://", "SASL_SSL://") for key, value in plain.items()},
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                f'{module} required username="{_BROKER}" password="{_BROKER_PASSWORD}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificate),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.ca_file),
        }

    def _format_options(self) -> tuple[str, ...]:
        people = ((USER, PASSWORD), (_BROKER, _BROKER_PASSWORD))
        users = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in people]
        return tuple(word for user in users for word in ("--add-scram", user))

    def _connect(self) -> socket.socket:
        context = ssl.create_default_context(cafile=str(self.authority.ca_file))
        context.check_hostname = False
        return context.wrap_socket(super()._connect())

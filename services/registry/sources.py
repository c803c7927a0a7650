"""Who may submit: each source is a line of configuration with its name, its token's hash and what it may send."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from shared.errors import SalurError
from shared.events import FlagSubmitted, RegistrationSubmitted
from shared.events.topics import intake_topic

Kind = Literal["registration", "flag"]
MODELS: Final[Mapping[Kind, type[RegistrationSubmitted] | type[FlagSubmitted]]] = {
    "registration": RegistrationSubmitted,
    "flag": FlagSubmitted,
}


class SourcesInvalid(SalurError):
    """The file of sources is missing or not in form."""


class Source(BaseModel):
    """One upstream system; without a token nobody submits in its name over HTTP but officers, who are `console`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    token_sha256: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$", repr=False)] = None
    may: frozenset[Kind] = Field(min_length=1)


class Sources:
    """All sources by name and by token. Immutable: a change of the file takes a restart, as it changes the topics."""

    def __init__(self, sources: Iterable[Source]) -> None:
        listed = list(sources)
        self.by_name = {source.name: source for source in listed}
        with_token = [source for source in listed if source.token_sha256]
        self._by_token = {source.token_sha256: source for source in with_token}
        if len(self.by_name) != len(listed) or len(self._by_token) != len(with_token):
            raise SourcesInvalid("two sources have the same name or the same token")

    @classmethod
    def load(cls, path: Path) -> "Sources":
        """Raises SourcesInvalid, which names file and field."""
        try:
            return cls(_LIST.validate_json(path.read_bytes()))
        except OSError as error:
            raise SourcesInvalid(
                f"the sources cannot be read from {path}: {error.strerror}",
                hint="`salur up` makes the file for an embedded stack; SALUR_SOURCES says where it is",
            ) from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise SourcesInvalid(f"{path} is no list of sources: {where}: {first['msg']}") from None

    def of_token(self, token: str) -> Source | None:
        """Looked up by its hash, so that comparing takes no time that depends on a secret."""
        return self._by_token.get(hashlib.sha256(token.encode()).hexdigest())

    def may(self, name: str, kind: Kind) -> bool:
        source = self.by_name.get(name)
        return source is not None and kind in source.may

    def topics(self) -> tuple[str, ...]:
        """The intake topics: of each source, one for each kind of submission that it may send."""
        return tuple(
            intake_topic(MODELS[kind], source.name) for source in self.by_name.values() for kind in sorted(source.may)
        )


_LIST = TypeAdapter(tuple[Source, ...])

"""How a recipient gets into `My aid`: a code that travels to the phone."""

from typing import ClassVar

from pydantic import Field

from shared.events.model import Data, Revision, Utc
from shared.privacy.sealed import SealedCode


class CodeIssued(Data):
    """A one-time code for a recipient who asked for one; whoever opens it sends it to the phone and keeps it nowhere.

    Its `revision` is always 1: a request has one code.
    """

    TYPE: ClassVar[str] = "code.issued"

    request: str = Field(pattern=r"^q-[0-9a-f]{32}$", description="Which request this answers")
    code: SealedCode = Field(description="The code, sealed for `access`")
    expires_at: Utc = Field(description="Not to be sent later: it opens nothing any more")
    revision: Revision

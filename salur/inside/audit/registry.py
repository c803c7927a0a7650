"""The registry's rows: each submission's one answer, each recipient's registration, each person's flags."""

from collections.abc import Iterable
from typing import Final

from salur.inside.audit.agreement import (
    Agreement,
    Check,
    Json,
    Says,
    StageRules,
    micros,
    micros_sql,
    sealed,
    sealed_sql,
    topic,
)
from shared.events import (
    FlagRejected,
    RecipientFlagged,
    RecipientRegistered,
    RecipientResealed,
    RegistrationRejected,
    RegistrationUnchanged,
)

_REUSED: Final = [("id", "id_reused")]
"""The one problem of a content that came under a used id; it is told beside the answer, not as the answer."""


def _recipient(event: Json) -> Iterable[Says]:
    data = event["data"]
    yield Says(
        event["subject"],
        data["revision"],
        (
            str(data["revision"]),
            str(micros(data["registered_at"])),
            data["family_id"],
            data["village"],
            str(data["decile"]),
        ),
    )


def _sealed(event: Json) -> Iterable[Says]:
    """Of a registration's values those under the newest keys hold: they were told last."""
    data = event["data"]
    revision, again = data["revision"], event["type"] == RecipientResealed.TYPE
    parts = (data.get("eligibility"), data.get("payment"), data.get("contact"))
    if revision:
        yield Says(event["subject"], f"{revision:010d}/{again:d}", tuple(map(sealed, parts)))


def _winner(event: Json) -> Iterable[Says]:
    """The latest valid submission holds, by (time, source, id), whatever order they came in."""
    ref = event["data"]["submission"]
    at = micros(ref["submitted_at"])
    yield Says(event["subject"], f"{at:020d}\0{ref['source']}\0{ref['id']}", (str(at), ref["source"], ref["id"]))


def _flags(event: Json) -> Iterable[Says]:
    yield Says(event["subject"], event["data"]["revision"], (str(event["data"]["revision"]),))


def _problems(event: Json) -> list[tuple[str, str]]:
    return [(problem["field"], problem["code"]) for problem in event["data"]["problems"]]


def _answer(event: Json) -> Iterable[Says]:
    data, kind = event["data"], event["type"]
    answer = _ANSWERS[kind]
    problems = None
    if answer == "rejected":
        found = _problems(event)
        if found == _REUSED:
            return
        problems = " ".join(f"{field}:{code}" for field, code in found)
    subject = event["subject"]
    who = subject if answer != "rejected" or subject.startswith("r-") else None
    detail = data.get("change") or data.get("reason")
    ref = data["submission"]
    yield Says(f"{ref['source']}/{ref['id']}", 0, (answer, detail, who, problems))


_ANSWERS: Final = {
    RecipientRegistered.TYPE: "registered",
    RegistrationUnchanged.TYPE: "unchanged",
    RegistrationRejected.TYPE: "rejected",
    RecipientFlagged.TYPE: "flagged",
    FlagRejected.TYPE: "rejected",
}

RULES: Final = StageRules(
    "registry",
    (
        Agreement(
            "recipient",
            ("revision", "registered_at", "family_id", "village", "decile"),
            f"""
            SELECT recipient_id, revision::text, {micros_sql("registered_at")}, family_id, village, decile::text
            FROM recipient
            """,
            {topic(RecipientRegistered): _recipient},
            gapless=True,
        ),
        Agreement(
            "recipient (sealed)",
            ("eligibility", "payment", "contact"),
            f"""
            SELECT recipient_id, {sealed_sql("eligibility")}, {sealed_sql("payment")}, {sealed_sql("contact")}
            FROM recipient
            """,
            {topic(RecipientRegistered): _sealed, topic(RecipientResealed): _sealed},
        ),
        Agreement(
            "recipient (won by)",
            ("won_submitted_at", "won_source", "won_id"),
            f"SELECT recipient_id, {micros_sql('won_submitted_at')}, won_source, won_id FROM recipient",
            {topic(RecipientRegistered): _winner, topic(RegistrationUnchanged): _winner},
        ),
        Agreement(
            "person",
            ("flag_revision",),
            "SELECT recipient_id, flag_revision::text FROM person WHERE flag_revision > 0",
            {topic(RecipientFlagged): _flags},
        ),
        Agreement(
            "submission",
            ("answer", "detail", "recipient_id", "problems"),
            """
            SELECT source || '/' || id, answer, detail, recipient_id, array_to_string(problems, ' ')
            FROM submission
            """,
            dict.fromkeys(_ANSWERS, _answer),
            once=True,
        ),
    ),
    (
        Check(
            "flag",
            """
            SELECT f.recipient_id, 'a flag of a person whose flags were never told'
            FROM flag AS f JOIN person AS p USING (recipient_id)
            WHERE p.flag_revision = 0
            """,
        ),
    ),
)

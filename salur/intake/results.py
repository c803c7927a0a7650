"""The results file: one line for each row, in the order of the file."""

import csv
from pathlib import Path
from typing import Final

from salur.intake.answers import Answers
from shared.errors import SalurError

COLUMNS: Final = (
    "row",
    "submission_id",
    "answer",
    "detail",
    "field",
    "code",
    "text_id",
    "text_en",
    "recipient_id",
)
SEVERAL: Final = " | "
"""Between several problems of one row, in each of the four columns about them."""


def results_path(file: Path) -> Path:
    return file.with_suffix(".results.csv")


def write_results(path: Path, stem: str, answers: Answers) -> None:
    """Replaces the file at once: a reader sees the old results or the new. Raises SalurError."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in range(1, answers.rows + 1):
                outcome = answers.outcome(row)
                sent = outcome.answer != "not_sent"
                submission_id = f"{stem}-{row}-{answers.mac(row).hex()}" if sent else ""
                about = (SEVERAL.join(texts) for texts in zip(*outcome.problems, strict=True))
                texts = tuple(about) or ("", "", "", "")
                writer.writerow((row, submission_id, outcome.answer, outcome.detail, *texts, answers.recipient(row)))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SalurError(
            f"{path}: the results cannot be written: {error.strerror}", hint="--results names another file"
        ) from None

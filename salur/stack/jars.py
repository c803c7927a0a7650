"""Kafka's jars: a closed list with hashes, fetched once per user by jgo and then only read.

`python -m salur.stack.jars` resolves the list anew after `KAFKA_VERSION` was changed.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from salur.stack.locks import hold
from shared.errors import SalurError

KAFKA_VERSION = "4.4.0"
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:2.0.17")
LOCK = Path(__file__).with_name("kafka.lock")

Progress = Callable[[int, int], None]
"""Called with the number of jars that are there and the number of all."""


class CannotFetch(SalurError):
    """A jar could not be fetched, or is not the one that the list names."""


class Jar(NamedTuple):
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked() -> list[Jar]:
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    return [Jar(*line.replace(":", " ").split()) for line in lines if line and not line.startswith("#")]


def folder() -> Path:
    """Where this user's jars lie, whether or not they are there yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:8]
    return cache / "salur" / f"kafka-{KAFKA_VERSION}-{digest}"


def ensure_jars(progress: Progress | None = None) -> Path:
    """The folder with all jars; fetches those that are missing (44 MB, some 10 s). Any number of processes may call.

    Raises CannotFetch when the registry does not answer or a jar's SHA-256 is not the listed one.
    """
    target = folder()
    if target.is_dir():
        return target
    with hold(target.with_suffix(".lock"), "fetching Kafka's jars", wait_s=600):
        if not target.is_dir():
            _fetch(target, progress or (lambda done, total: None))
    return target


def _fetch(target: Path, progress: Progress) -> None:
    """Fetches into a folder beside `target` and renames it at the end: a folder that is there is whole."""
    jars = locked()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetching-") as scratch:
        context = _context(Path(scratch) / "maven")
        whole = Path(scratch) / "jars"
        whole.mkdir()
        with ThreadPoolExecutor(8) as pool:
            for done, _ in enumerate(pool.map(lambda jar: _fetch_one(context, jar, whole), jars), 1):
                progress(done, len(jars))
        whole.replace(target)


def _fetch_one(context: Any, jar: Jar, into: Path) -> None:
    for attempt in range(3):
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        try:
            path = Path(artifact.resolve())
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; jgo's own are RuntimeErrors
            shutil.rmtree(context.repo_cache / artifact.component.path_prefix, ignore_errors=True)
            if attempt == 2:
                raise CannotFetch(
                    f"cannot fetch {jar.file_name}: {error}",
                    hint="is the network there? a mirror of Maven Central can be named in ~/.config/jgo.conf",
                ) from error
            continue
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != jar.sha256:
            raise CannotFetch(f"{jar.file_name} has SHA-256 {found}, {LOCK.name} says {jar.sha256}")
        path.replace(into / jar.file_name)
        return


def _context(repository: Path) -> Any:
    """jgo's view of Maven: Maven Central, and the repositories of the user's own jgo configuration before it."""
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    mirrors = dict(GlobalSettings.load().repositories)
    return MavenContext(repo_cache=repository, remote_repos=mirrors | {"central": MAVEN_CENTRAL_URL}, timeout=60)


def write_lock() -> None:
    """Resolves `ROOTS` and everything they need to run, and writes the list."""
    with tempfile.TemporaryDirectory() as scratch:
        context = _context(Path(scratch))
        inputs, transitive = context.resolver.resolve([context.create_dependency(root) for root in ROOTS])
        lines = []
        for dependency in (*inputs, *transitive):
            if dependency.scope in (None, "compile", "runtime"):
                sha256 = hashlib.sha256(Path(dependency.artifact.resolve()).read_bytes()).hexdigest()
                lines.append(f"{dependency.groupId}:{dependency.artifactId}:{dependency.version} {sha256}\n")
    head = f"# What {' and '.join(ROOTS)} need to run; written by python -m salur.stack.jars\n"
    LOCK.write_text(head + "".join(sorted(lines)), encoding="utf-8")


if __name__ == "__main__":
    write_lock()
    sys.stdout.write(f"{len(locked())} jars in {LOCK.name}\n")

"""A file or text → Config, or `ConfigError` with every problem there is, each on a line of its own.

    text ─ document ─► tree with lines ─ substitute ─► final values ─ validate ─► Config ─ check ─► agreed with itself

No step stops the next: each reports what it finds, and goes on with the part that holds.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config import schema
from gateway.config.check import cross_check
from gateway.config.document import Document, read
from gateway.config.model import Config
from gateway.config.problem import Problem
from gateway.config.substitute import substitute
from gateway.config.validate import hangs_on, locate, shown, validate
from gateway.errors import ConfigError

MAX_FILE_BYTES = 8_000_000
_FILE = re.compile(r"\$\{file:([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that holds. `warnings` are complete lines, like the problems of a `ConfigError`."""

    config: Config
    source: str
    hash: str
    """12 hex digits over the text as written: no value that was substituted has a part in it."""
    folder: Path
    """Where relative paths in the configuration start."""
    warnings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    """What it was made from and what it names, itself first; empty for one that came from no file."""


def load(path: Path, env: Mapping[str, str]) -> Loaded:
    """Raises `ConfigError`, also for a file that cannot be read. `${file:…}` is relative to the file's folder."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError([f"{path}: expected a readable file, got: {exc.strerror}"]) from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: expected at most {MAX_FILE_BYTES:,} bytes, got more"])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise ConfigError([f"{path}:{line}: expected UTF-8 text, got the byte 0x{content[exc.start]:02x}"]) from None
    loaded = parse(text, source=str(path), env=env, folder=path.parent)
    return replace(loaded, files=(path, *_named_files(text, loaded)))


def _named_files(text: str, loaded: Loaded) -> Iterator[Path]:
    """Secrets, classifiers and CA bundles."""
    for name in _FILE.findall(text):
        yield loaded.folder / name
    for route in loaded.config.routes:
        if route.router.classifier is not None:
            yield loaded.folder / route.router.classifier
    for upstream in loaded.config.upstreams.values():
        if upstream.ca_file is not None:
            yield Path(upstream.ca_file)


def parse(text: str, *, source: str, env: Mapping[str, str], folder: Path) -> Loaded:
    """`source` is what messages call the text; raises `ConfigError`."""
    try:
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    except UnicodeEncodeError:
        raise ConfigError([f"{source}: expected text that can be written as UTF-8, got a lone surrogate"]) from None
    document = read(text)
    substitute(document, is_secret=schema.is_secret, env=env, folder=folder)
    config = validate(document)
    found = document.problems + (_across_sections(config, document) if config else [])
    errors, warnings = (_told(found, source, are_warnings=kind) for kind in (False, True))
    if errors or document.lost or config is None:  # a Config with anything taken out is for finding problems only
        raise ConfigError(errors)
    return Loaded(config, source, digest, folder, tuple(warnings))


def _across_sections(config: Config, document: Document) -> list[Problem]:
    """What `cross_check` claims, at its place in the text, unless the claim rests on something already reported."""
    claims: list[Problem] = []
    for problem in cross_check(config):
        node, path = locate(document.root, problem.path)
        other = None if problem.other is None else locate(document.root, problem.other)[1]
        premises = [locate(document.root, premise)[1] for premise in problem.rests_on]
        if not any(hangs_on(place, document.lost) for place in (path, *premises)):
            got = shown(node) if problem.got and node.origin else problem.got
            claims.append(replace(problem, path=path, line=node.line, other=other, got=got))
    return claims


def _told(problems: list[Problem], source: str, *, are_warnings: bool) -> list[str]:
    chosen = [problem for problem in problems if problem.is_warning == are_warnings]
    chosen.sort(key=lambda problem: problem.line or 0)
    return list(dict.fromkeys(problem.told(source) for problem in chosen))

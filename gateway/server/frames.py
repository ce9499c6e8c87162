"""Messages between the supervisor and a worker, over a socket that nobody else has: a length, a kind, the bytes.

supervisor → worker   CONFIG once; then QUESTION as operators ask; to reload PREPARE, and SETTLE when all have answered
worker → supervisor   URL once the port is open, then METRICS every half second, ANSWER to each question and PREPARE
"""

import asyncio
from enum import IntEnum


class Kind(IntEnum):
    CONFIG = 1
    """Pickled `Loaded`, already checked."""
    URL = 2
    METRICS = 3
    """As `telemetry.snapshot` makes them."""
    QUESTION = 4
    """JSON: [number, question, arguments]."""
    ANSWER = 5
    """JSON: [number, answer, null] or [number, null, error]; to PREPARE the answer is a list of problems."""
    PREPARE = 6
    """A number, 4 bytes, and a pickled `Loaded`: build its gateway beside the one that serves."""
    SETTLE = 7
    """JSON: true puts in force what was prepared, false drops it."""


async def receive(reader: asyncio.StreamReader) -> tuple[Kind, bytes] | None:
    """The next message; None when the other side has closed or is gone."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        message = await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Kind(message[0]), message[1:]


def send(writer: asyncio.StreamWriter, kind: Kind, message: bytes) -> None:
    writer.write((len(message) + 1).to_bytes(4, "big") + bytes((kind,)) + message)

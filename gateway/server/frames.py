"""Messages between the supervisor and a worker, over a socket that nobody else has: a length, and so many bytes."""

import asyncio


async def receive(reader: asyncio.StreamReader) -> bytes | None:
    """The next message; None when the other side has closed or is gone."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def send(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(len(message).to_bytes(4, "big") + message)

"""However a request ends: its errors become answers, and its record reaches the observers, once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from gateway.clock import Clock
from gateway.errors import GatewayError, UpstreamError
from gateway.exchange import Client
from gateway.record import Record
from gateway.wire.errors import shape_of, to_openai
from gateway.wire.headers import from_record

log = logging.getLogger(__name__)

CLIENT_GONE = 499
"""nginx's code for a client that left before its answer."""


async def see_through(
    work: Awaitable[None],
    client: Client,
    record: Record,
    *,
    break_off: Callable[[GatewayError], Awaitable[None]],
    clock: Clock,
    observe: Callable[[Record], None],
) -> None:
    """Run `work`, which answers `client`, to whatever end it comes; raises only CancelledError.

    `break_off` says how an answer that has begun is ended by an error; one that has not becomes an
    error status.
    """
    fail = partial(_fail, client, record, break_off, clock)
    try:
        try:
            await work
        except GatewayError as error:
            await fail(error)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            log.exception("request %s failed inside the gateway", record.request_id)
            await fail(GatewayError("The gateway failed; its operator's log has the cause."))
    except ConnectionError:
        record.status = CLIENT_GONE
    except asyncio.CancelledError:
        if not record.is_success:
            record.status = CLIENT_GONE
        raise
    finally:
        record.duration_s = clock.monotonic() - record.started_s
        observe(record)


async def _fail(
    client: Client,
    record: Record,
    break_off: Callable[[GatewayError], Awaitable[None]],
    clock: Clock,
    error: GatewayError,
) -> None:
    shape = shape_of(error)
    record.status, record.error = shape.status, type(error).__name__
    if not isinstance(error, UpstreamError):
        record.rejected = error.code or shape.code or ("invalid_request" if shape.status < 500 else "internal")
    if record.first_byte_s is not None:
        await break_off(error)
        return
    status, headers, body = to_openai(error)
    record.first_byte_s = clock.monotonic() - record.started_s
    await client.answer(status, [*headers, *from_record(record)], body)

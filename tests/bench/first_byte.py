"""What the gateway adds to the time to the first byte of a stream: `python -m tests.bench.first_byte [STREAMS]`.

One client, one stream at a time, in turn straight to the upstream and through the gateway (its
own process); the upstream answers at once. Prints the median and the 99th percentile of each.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.support.gateway import CHAT, HELLO
from tests.support.process import serving
from tests.support.upstream import ScriptedUpstream, Stream, chat_chunks, usage

STREAMS = 200
WARM_UP = 20
CONFIG = """\
server: {{port: 0, admin: {{port: 0}}}}
auth: none
upstreams: {{up: {{base_url: "{url}"}}}}
routes: [{{name: default, upstream: up}}]
"""


async def first_byte_s(http: aiohttp.ClientSession, url: str) -> float:
    began = time.perf_counter()
    async with http.post(url, json={"model": "gpt-5-mini", "messages": HELLO, "stream": True}) as response:
        await response.content.readany()
        took = time.perf_counter() - began
        await response.read()
    return took


async def main(streams: int) -> None:
    step = Stream.of(*chat_chunks(*(f"word{n} " for n in range(50)), usage=usage(8, 50)))
    direct, through = [], []
    with tempfile.TemporaryDirectory() as folder:
        async with ScriptedUpstream(then=step) as up, aiohttp.ClientSession() as http:
            Path(folder, "gateway.yaml").write_text(CONFIG.format(url=up.base_url))  # noqa: ASYNC240
            async with serving(cwd=Path(folder)) as gw:
                for n in range(WARM_UP + streams):
                    straight = await first_byte_s(http, up.base_url.removesuffix("/v1") + CHAT)
                    relayed = await first_byte_s(http, gw.url + CHAT)
                    if n >= WARM_UP:
                        direct.append(straight * 1e6)
                        through.append(relayed * 1e6)
    added = [b - a for a, b in zip(direct, through, strict=True)]
    for name, values in (("direct", direct), ("through the gateway", through), ("added", added)):
        print(
            f"{name:20} p50 {statistics.median(values):7.0f} µs   p99 {statistics.quantiles(values, n=100)[98]:7.0f} µs"
        )
    print(json.dumps({"streams": streams, "added_p50_us": round(statistics.median(added))}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else STREAMS))

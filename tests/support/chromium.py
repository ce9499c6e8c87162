"""A real Chromium without a window, driven over its DevTools protocol: open a page, run JavaScript, take pictures."""

import asyncio
import base64
import itertools
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_START_S = 40
_WAIT_S = 30


class Page:
    """One tab; `complaints` are what its console said of errors, CSP violations among them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(1)
        self.complaints: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params, "sessionId": self._session})
        async with asyncio.timeout(_WAIT_S):
            while True:
                message = await self._socket.receive_json()
                if message.get("id") == number and message.get("sessionId") == self._session:
                    assert "error" not in message, message
                    result: dict[str, Any] = message["result"]
                    return result
                self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(message["params"]["exceptionDetails"]))

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Evaluate until it holds, also while the page changes under it."""
        found: Any = None
        async with asyncio.timeout(_WAIT_S):
            while not found:
                await asyncio.sleep(0.05)
                answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
                found = answer["result"].get("value") if "exceptionDetails" not in answer else None
        return found

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)
        await self.until(f"document.readyState === 'complete' && location.href.startsWith({url!r})")

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    async def scheme(self, name: str) -> None:
        """`dark` or `light`."""
        await self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    async def shot(self) -> bytes:
        """The whole page, as a PNG."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """A fresh browser with one empty tab; skips where there is none."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    child = await asyncio.create_subprocess_exec(
        *(binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
        *("--no-proxy-server", "--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
        *("--remote-debugging-port=0", f"--user-data-dir={folder / 'chromium'}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stderr is not None
    try:
        async with asyncio.timeout(_START_S):
            found = None
            while found is None:
                line = (await child.stderr.readline()).decode(errors="replace")
                assert line, "Chromium ended"
                found = re.search(r"DevTools listening on (ws://\S+)", line)
        async with aiohttp.ClientSession() as http, http.ws_connect(found[1], max_msg_size=0) as socket:
            yield await _tab(socket)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def _tab(socket: aiohttp.ClientWebSocketResponse) -> Page:
    async def ask(method: str, **params: Any) -> dict[str, Any]:
        await socket.send_json({"id": 0, "method": method, "params": params})
        async with asyncio.timeout(_WAIT_S):
            while (message := await socket.receive_json()).get("id") != 0:
                pass
        result: dict[str, Any] = message["result"]
        return result

    target = await ask("Target.createTarget", url="about:blank")
    attached = await ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
    page = Page(socket, attached["sessionId"])
    for domain in ("Page", "Runtime", "Log"):
        await page.call(f"{domain}.enable")
    return page

"""The model API behind all targets: the cheapest there is, and it counts what arrives."""

import http.client
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from tests.bench import children, mock_upstream
from tests.bench.children import Child
from tests.bench.load import ROOT
from tests.bench.targets import nginx_argv, nginx_files

SERVER = """
        location = /requests {{ stub_status; }}
        location ~ /chat/completions$ {{ return 200 '{completion}'; }}
        location / {{ return 200 '{{}}'; }}
    """


@dataclass(frozen=True, slots=True)
class Upstream:
    port: int
    is_nginx: bool

    def asked(self) -> int:
        """How many requests have arrived so far; with nginx, this one and all that targets probe with included."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", "/requests")
        text = connection.getresponse().read().decode()
        connection.close()
        if self.is_nginx:  # "… server accepts handled requests\n 12 12 345 \n…"
            return int(text.splitlines()[2].split()[2])
        return int(json.loads(text)["requests"])


@contextmanager
def running_upstream(kind: str, folder: Path, core: int) -> Iterator[Upstream]:
    """`whole` answers come from nginx where it is installed, since nothing answers at less cost; `events` from ours."""
    folder.mkdir()
    found = Upstream(children.free_port(), is_nginx=kind == "whole" and which("nginx") is not None)
    if found.is_nginx:
        argv = nginx_argv(folder)
        server = SERVER.format(completion=mock_upstream.completion().decode())
        for name, text in nginx_files(found.port, http="", server=server).items():
            (folder / name).write_text(text)
    else:
        argv = (sys.executable, "-m", "tests.bench.mock_upstream", str(found.port))
    child = Child(argv, folder, cores={core}, env={"PYTHONPATH": str(ROOT)})
    try:
        child.wait_until_ready(found.port, None, timeout_s=10)
        yield found
    finally:
        child.stop()

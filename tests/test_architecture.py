"""Imports point one way, stand at the top, and `serve` never loads the libraries of training."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOORS = (  # a room may import itself and what lies on a floor below; rooms of one floor do not know each other
    {"gateway"},
    {"errors", "clock", "value"},
    {"values"},
    {"record", "exchange"},
    {"config"},
    {"resp"},
    {"wire", "kv", "sql", "tables"},
    {"cluster"},
    {"migrations"},
    {"auth", "prompts", "tokens", "routing", "cache", "admission", "upstream", "accounting", "telemetry"},
    {"steps"},
    {"learning"},
    {"pipeline", "catalog", "explain", "passthrough", "prompt_check"},
    {"lasting"},
    {"assembly"},
    {"app"},
    {"server"},
    {"simulator"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
APART = {"simulator": {"errors", "clock", "values", "wire", "tokens"}}
"""It stands in for somebody else's server, so it shares nothing with ours but the protocol."""

HEAVY = (
    *("genai_prices", "numpy", "openai", "opentelemetry", "scipy", "sklearn"),
    *("gateway.kv", "gateway.cluster", "gateway.simulator"),  # for redis, and for what few ever start
    "gateway.cache.vectors",  # it needs numpy
    "asyncpg",
    "watchfiles",
    *("gateway.prompts.render", "gateway.prompts.lint"),  # for jinja2, where there are prompts
)
"""Slow to load and needed by few: may be imported inside a function."""
TRAINING = "gateway.routing.offline"


def room_of(module: str) -> str:
    """`gateway.cache.key` → `cache`; the package's own `__init__` → `gateway`."""
    return module.split(".")[1] if "." in module else module


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which room they reach"
            # `from gateway import pipeline` names a room, `from gateway import __version__` does not.
            rooms = [f"gateway.{alias.name}" for alias in node.names if alias.name in FLOOR]
            yield from (rooms if node.module == "gateway" and rooms else [node.module or ""])


def functions(tree: ast.AST) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


TREES = {module_of(file): ast.parse(file.read_text()) for file in sorted((ROOT / "gateway").rglob("*.py"))}


def is_allowed(here: str, there: str) -> bool:
    """May module `here` import module `there`, both ours?"""
    mine, other = room_of(here), room_of(there)
    if there.startswith(TRAINING) and not here.startswith((TRAINING, "gateway.cli.")):
        return False
    return mine == other or (FLOOR[other] < FLOOR[mine] and other in APART.get(mine, FLOOR))


def test_every_room_has_a_floor() -> None:
    assert {room_of(module) for module in TREES} <= FLOOR.keys()


def test_imports_point_one_way() -> None:
    edges = [(here, there) for here, tree in TREES.items() for there in imports(tree)]
    ours = [(here, there) for here, there in edges if there.partition(".")[0] == "gateway"]
    assert [f"{here} imports {there}" for here, there in ours if not is_allowed(here, there)] == []


def test_imports_stand_at_the_top_unless_heavy() -> None:
    inside = [(here, there) for here, tree in TREES.items() for node in functions(tree) for there in imports(node)]
    heavy = (*HEAVY, TRAINING)
    assert [f"{there} inside a function of {here}" for here, there in inside if not there.startswith(heavy)] == []


def test_no_function_rebinds_what_its_module_holds() -> None:
    assert [here for here, tree in TREES.items() for node in ast.walk(tree) if isinstance(node, ast.Global)] == []


def test_serving_loads_nothing_of_training() -> None:
    program = "import sys, gateway.app, gateway.cli.serve; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    loaded = set(ran.stdout.split())
    assert "gateway" in loaded, ran.stderr
    assert not {"alembic", "jinja2", "numpy", "scipy", "sklearn", "sqlalchemy"} & loaded

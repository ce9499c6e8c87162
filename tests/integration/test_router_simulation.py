"""Traffic drifts to a new kind; labels come in; what is trained on them is promoted and recovers, or refused.

The new kind is of our making: support tickets, of which those that mention a defect need the expensive model, though
nothing in the shipped model's training says so. Labels reach the database as shadow calls write them; training,
promotion and rollback are the commands that an operator types.
"""

import asyncio
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.router import router
from gateway.clock import SystemClock
from gateway.config.model import Config
from gateway.migrations.upgrade import upgrade
from gateway.routing.drift import Drift
from gateway.routing.features import extract
from gateway.routing.labels import Labels
from gateway.routing.model import Classifier, shipped_bytes
from gateway.routing.router import Router
from gateway.routing.samples import Sample, to_json
from gateway.sql import Database

ORDERS = (
    "water bottle",
    "green chair",
    "paper book",
    "small clock",
    "metal box",
    "glass plate",
    "red bicycle",
    "wood table",
)
WISHES = (
    "change the colour",
    "change the address",
    "pay in two parts",
    "know the price",
    "get it on Monday",
    "add a second one",
)
FAULTS = (
    "it stopped with a loud noise",
    "it gets hot and then stops",
    "it reads a wrong value",
    "it moves without reason",
)
PLACES = ("Paris", "London", "Boston", "Rome", "Berlin", "Madrid", "Vienna", "Athens", "Dublin")


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with all its tables: making them takes seconds."""
    file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    upgrade(f"sqlite:///{file}")
    return file


@pytest.fixture(autouse=True)
def ledger(made_once: Path, tmp_path: Path) -> None:
    shutil.copy(made_once, tmp_path / "ledger.db")


def tickets(count: int, seed: int) -> list[tuple[str, float]]:
    """Texts, and how the cheap model does on each; the expensive one always does well."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        order, place = chance.choice(ORDERS), chance.choice(PLACES)
        is_fault = number % 3 == 0
        matter = chance.choice(FAULTS if is_fault else WISHES)
        wish = f"and {matter}, what should we do" if is_fault else f"and I would like to {matter}"
        made.append((f"I have order {chance.randrange(10**6)} of a {order} from {place}, {wish}?", float(not is_fault)))
    return made


def sample(text: str, number: int, classifier: Classifier, *, keep_text: bool) -> Sample:
    seen, verdict = extract(text), classifier.judge(text)
    known = classifier.known(seen)
    return Sample(
        request_id=f"r{number}",
        at_ms=1_700_000_000_000 + number,
        key_name="bot",
        route="support",
        tier="cheap",
        probability=verdict.probability,
        propensity=None,
        features=to_json(known, len(seen.words) - len(known), seen, verdict),
        text=text if keep_text else None,
    )


async def fill(url: str, labelled: list[tuple[str, float]], *, keep_text: bool, flip: bool = False) -> None:
    classifier = Classifier.load()
    async with Database(url) as database, Labels(database, SystemClock(), retention_days=36_500) as labels:
        for number, (text, weak) in enumerate(labelled):
            labels.sample(sample(text, number, classifier, keep_text=keep_text))
            labels.outcome(f"r{number}", "agreement", 1 - weak if flip else weak, 1.0)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(router, [str(argument) for argument in arguments])


def quality(model: Path, labelled: list[tuple[str, float]]) -> tuple[float, float]:
    """Quality kept at the model's own threshold, and share sent cheap."""
    classifier = Classifier.load(model)
    threshold = classifier.threshold(0.95)
    is_cheap = [
        (verdict := classifier.judge(text)).is_familiar and verdict.probability < threshold for text, _ in labelled
    ]
    kept = [weak if cheap else 1.0 for cheap, (_, weak) in zip(is_cheap, labelled, strict=True)]
    return sum(kept) / len(kept), sum(is_cheap) / len(is_cheap)


@pytest.mark.parametrize("keep_text", [True, False])
def test_a_model_retrained_on_labels_of_the_new_traffic_is_promoted_and_recovers(
    tmp_path: Path, keep_text: bool
) -> None:
    url, in_force, candidate = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "router.json", tmp_path / "new.json"
    asyncio.run(fill(url, tickets(600, seed=1), keep_text=keep_text))
    later = tickets(300, seed=2)
    in_force.write_bytes(shipped_bytes())

    trained = run("train", "--from-ledger", url, "--route", "support", "--out", candidate)
    assert trained.exit_code == 0, trained.output
    promoted = run("promote", candidate, "--over", in_force, "--from-ledger", url, "--route", "support")
    assert promoted.exit_code == 0, promoted.output

    _, cheap_before = quality(tmp_path / "router.json.previous", later)
    kept, cheap = quality(in_force, later)
    assert kept >= 0.95
    assert cheap > 0.5 > cheap_before

    assert run("rollback", in_force).exit_code == 0
    assert in_force.read_bytes() == shipped_bytes()


def test_a_candidate_that_learned_the_opposite_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    shutil.copy(tmp_path / "ledger.db", tmp_path / "wrong.db")
    right, wrong = f"sqlite:///{tmp_path}/ledger.db", f"sqlite:///{tmp_path}/wrong.db"
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    asyncio.run(fill(right, tickets(600, seed=1), keep_text=True))
    asyncio.run(fill(wrong, tickets(600, seed=1), keep_text=True, flip=True))
    assert run("train", "--from-ledger", right, "--out", good).exit_code == 0
    assert run("train", "--from-ledger", wrong, "--out", bad).exit_code == 0
    in_force = tmp_path / "router.json"
    shutil.copy(good, in_force)

    refused = run("promote", bad, "--over", in_force, "--from-ledger", right)

    assert refused.exit_code == 1
    assert "its APGR may be worse" in refused.output
    assert in_force.read_bytes() == good.read_bytes()
    assert not (tmp_path / "router.json.previous").exists()


def test_too_few_labels_promote_nothing(tmp_path: Path) -> None:
    url, in_force = f"sqlite:///{tmp_path}/ledger.db", tmp_path / "router.json"
    asyncio.run(fill(url, tickets(60, seed=1), keep_text=True))
    in_force.write_bytes(shipped_bytes())
    refused = run("promote", in_force, "--over", in_force, "--from-ledger", url)
    assert refused.exit_code == 1
    assert "are too few" in refused.output


def test_drift_shows_in_the_index_and_a_route_that_adapts_sends_more_up() -> None:
    classifier = Classifier.load()
    drift = Drift(classifier.about.deciles)
    for text, _ in tickets(600, seed=3):
        drift.see(classifier.judge(text), len(text))
    assert max(drift.stability().values()) > 0.25

    config = Config.model_validate_json(
        '{"upstreams": {"up": {"base_url": "http://up/v1"}}, "tiers": {"cheap": ["up/a"], "expensive": ["up/b"]},'
        ' "routes": [{"name": "support", "tier": "auto", "router": {"threshold": 0.6, "adapt": true}}]}'
    )
    road = Router(config, Path())
    for _ in range(60):
        road.learned("support", 0.5, 0.9)
    assert road.thresholds() == {("support",): pytest.approx(0.2)}
    for _ in range(256):
        road.learned("support", 0.5, 0.3)
    assert road.thresholds() == {("support",): 0.6}

import subprocess
import sys
from pathlib import Path

import pytest

import gateway.routing as default_router
from gateway.errors import ConfigError
from gateway.routing.model import Classifier
from gateway.routing.offline.dataset import read
from gateway.routing.offline.groups import near_duplicates

DATA = Path(__file__).parents[2] / "data" / "routing"


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.load(None)


def test_the_shipped_model_was_made_from_the_data_in_this_repository(shipped: Classifier) -> None:
    data = read([DATA / "train.jsonl.gz", DATA / "everyday_train.jsonl"])
    assert shipped.about.made.fingerprint == data.fingerprint
    assert shipped.about.made.rows == len(data.rows) == 13_860 + 277
    assert "alpaca_eval" not in data.counts()


def test_the_shipped_model_is_small(shipped: Classifier) -> None:
    path = Path(default_router.__file__ or "").parent / "default_router.json"
    assert path.stat().st_size < 5_000_000


def test_no_everyday_prompt_is_both_learned_from_and_measured_on() -> None:
    texts = [read([DATA / f"everyday_{split}.jsonl"]).texts for split in ("train", "test")]
    assert not set(texts[0]) & set(texts[1])
    assert len(texts[0]) + len(texts[1]) >= 300
    found = near_duplicates([*texts[0], *texts[1]])
    assert not set(found[: len(texts[0])]) & set(found[len(texts[0]) :])


@pytest.mark.parametrize(
    "query",
    ["hi", "Hello!", "What is the capital of France?", "How do I boil an egg?", "Translate to French: good night"],
)
def test_plain_everyday_prompts_go_cheap(shipped: Classifier, query: str) -> None:
    verdict = shipped.judge(query)
    assert verdict.doubt is None
    assert verdict.probability < shipped.threshold(0.95)


def test_simple_and_hard_prompts_land_on_different_sides_of_the_threshold(shipped: Classifier) -> None:
    threshold = shipped.threshold(0.95)
    easy = "What is the capital of France?\nA. Berlin\nB. Paris\nC. Rome\nD. Madrid\nAnswer:"
    hard = (
        "A 2.00 kg block slides down a frictionless incline of height 3.0 m and then compresses a spring of constant "
        "400 N/m. Calculate the maximum compression x_{max} = \\sqrt{2mgh/k} of the spring.\n"
        "A. 0.12 m\nB. 0.54 m\nC. 0.77 m\nD. 1.10 m\nE. 0.29 m\nF. 0.38 m\nG. 0.61 m\nH. 0.15 m\nI. 0.83 m\nJ. 0.47 m"
    )
    assert shipped.probability(easy) < threshold <= shipped.probability(hard)


def test_serving_imports_neither_scikit_learn_nor_numpy() -> None:
    code = (
        "import sys; from gateway.routing.decide import decide; from gateway.routing.model import Classifier;"
        "Classifier.load(None).probability('hello'); print({'sklearn', 'numpy', 'scipy'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_a_missing_model_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json: the router model cannot be read: No such file"):
        Classifier.load(tmp_path / "nowhere.json")

"""The offline half, on a slice of the data that ships: what is trained is what is served, and every command says so."""

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner, Result

from gateway.cli.router import router
from gateway.routing import features
from gateway.routing.document import Made
from gateway.routing.model import Classifier
from gateway.routing.offline import evaluate, groups, kinds
from gateway.routing.offline.calibrate import probabilities
from gateway.routing.offline.dataset import Dataset, parse, read
from gateway.routing.offline.fit import Fitted, Settings
from gateway.routing.offline.train import export, out_of_fold

DATA = Path(__file__).parents[2] / "data" / "routing"
EVERY_TRAIN, EVERY_TEST = DATA / "everyday_train.jsonl", DATA / "everyday_test.jsonl"


def lines(name: str, step: int, first: int = 0) -> list[bytes]:
    with gzip.open(DATA / name) as file:
        return list(file)[first::step]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`train.jsonl` (some 1,000 rows) and `test.jsonl` (some 400), a little of every source."""
    path = tmp_path_factory.mktemp("router")
    (path / "train.jsonl").write_bytes(b"".join(lines("train.jsonl.gz", 18)) + EVERY_TRAIN.read_bytes())
    (path / "test.jsonl").write_bytes(b"".join(lines("test.jsonl.gz", 8)))
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    result = run("train", folder / "train.jsonl", "--out", folder / "router.json")
    assert result.exit_code == 0, result.output
    assert "fitted on 1,047 prompts" in result.output
    return folder / "router.json"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(router, [str(argument) for argument in arguments])


def run_json(*arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return orjson.loads(result.stdout)


# ------------------------------------------------------------------ what is trained is what is served


def test_serving_agrees_with_scikit_learn_on_a_thousand_prompts(folder: Path) -> None:
    known = read([folder / "train.jsonl"])
    settings = Settings(large=300, min_documents=3)  # so that some kinds have four outcomes, and there are enough words
    seen = [features.extract(text) for text in known.texts]
    held_out = out_of_fold(seen, known, groups.near_duplicates(known.texts), settings, lambda done: None)
    fitted = Fitted(seen, known, settings)
    made = Made(command="", fingerprint="", rows=0, sources={})
    served = Classifier(export(fitted, held_out, known, made))

    texts = [orjson.loads(line)["text"] for line in lines("train.jsonl.gz", 13, first=1)]
    judged = fitted.judge([features.extract(text) for text in texts])
    expected = probabilities(judged.gain, held_out.calibration)
    verdicts = [served.judge(text) for text in texts]

    assert len(texts) > 1000
    assert {len(kind.gains) for kind in served._kinds} == {2, 4}
    assert max(abs(expected - [verdict.probability for verdict in verdicts])) < 1e-6
    assert max(abs(judged.share - [verdict.share for verdict in verdicts])) < 1e-6
    assert max(abs(judged.distance - [verdict.distance for verdict in verdicts])) < 1e-5
    assert max(abs(judged.known_words - [verdict.known_words for verdict in verdicts])) < 1e-12


def test_near_duplicates_are_of_one_group() -> None:
    question = "What is the largest city in the country that borders both France and Portugal and has a king?"
    texts = [question, question + " Answer briefly.", "Name the inventor of the telephone, and the year of the patent."]
    found = groups.near_duplicates(texts)
    assert found[0] == found[1] != found[2]


def test_outcomes_share_out_every_prompt() -> None:
    weak, strong = np.array([0.0, 1.0, 1.0, 0.0, 0.5]), np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    found = kinds.outcomes(weak, strong)
    assert found.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0.5, 0, 0.25, 0.25]]


def test_a_fold_is_cut_in_as_many_kinds_as_all_rows() -> None:
    rows = [
        parse(orjson.dumps({"text": "q", "source": "exam", "subset": str(number % 6), "need": number % 6 % 2}))
        for number in range(60)
    ]
    every = Dataset(tuple(rows), fingerprint="")
    fold = every.take(np.arange(48))

    pieces = kinds.pieces(every, rows_a_kind=30)

    assert pieces == {"exam": 2}
    assert kinds.pieces(fold, rows_a_kind=30) == {"exam": 1}
    assert set(kinds.assign(every, pieces)) == set(kinds.assign(fold, pieces)) == {"exam:1", "exam:2"}


def test_what_a_file_says_of_itself_was_measured_out_of_fold(model: Path) -> None:
    about = Classifier.load(model).about
    assert about.made.rows == 1047
    assert 0.4 < about.quality["apgr"] < 0.9
    assert about.quality["ece"] < 0.1
    assert [row.quality for row in about.thresholds][:3] == [0.8, 0.85, 0.9]
    assert all(row.low <= row.quality <= row.high for row in about.thresholds if row.quality <= 0.95)
    assert set(about.deciles) == {"probability", "gate_share", "known_words", "characters"}


# ------------------------------------------------------------------ data of three forms


@pytest.mark.parametrize(
    ("line", "weak", "strong"),
    [
        (b'{"text": "q", "weak_score": 0.25, "strong_score": 1}', 0.25, 1.0),
        (b'{"text": "q", "need": 1}', 0.0, 1.0),
        (b'{"text": "q", "need": false}', 1.0, 1.0),
        (b'{"text": "q", "winner": "cheap"}', 1.0, 0.0),
        (b'{"text": "q", "winner": "tie"}', 0.5, 0.5),
    ],
)
def test_a_row_is_scores_or_need_or_a_winner(line: bytes, weak: float, strong: float) -> None:
    row = parse(line)
    assert (row.weak, row.strong) == (weak, strong)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b'{"text": 1}', "expected an object with a string 'text'"),
        (b'{"text": "q"}', "weak_score: expected a number from 0 to 1, got None"),
        (b'{"text": "q", "need": 2}', "need: expected a number from 0 to 1, got 2"),
        (b'{"text": "q", "winner": "me"}', "winner: expected cheap, expensive or tie, got 'me'"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path: Path, line: bytes, problem: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'{"text": "q", "need": 0}\n' + line + b"\n")
    result = run("train", tmp_path / "d.jsonl", "--out", tmp_path / "m.json")
    assert result.exit_code == 1
    assert f"d.jsonl:2: {problem}" in result.output


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (b'{"text": "q", "need": 0}\n' * 50, "50 rows are too few"),
        (b'{"text": "q", "need": 0}\n' * 300, "same outcome"),
    ],
)
def test_data_that_teaches_nothing_is_refused(tmp_path: Path, rows: bytes, problem: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(rows)
    result = run("train", tmp_path / "d.jsonl", "--out", tmp_path / "m.json")
    assert result.exit_code == 2
    assert problem in result.output


# ------------------------------------------------------------------ measures


def test_measures_are_what_one_computes_by_hand() -> None:
    p, weak, strong = np.array([0.9, 0.7, 0.2, 0.1]), np.array([0.0, 0.0, 1.0, 1.0]), np.ones(4)
    points = evaluate.curve(p, weak, strong)
    assert points.share.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert points.quality.tolist() == [0.5, 0.75, 1, 1, 1]
    assert evaluate.apgr(points) == pytest.approx(0.75)
    assert evaluate.cpt(points, 0.5) == pytest.approx(0.25)
    assert evaluate.saved(points, 0.95) == pytest.approx(0.55)
    assert evaluate.auc(p, strong - weak) == 1.0
    assert evaluate.brier(p, evaluate.target(weak, strong)) == pytest.approx((0.01 + 0.09 + 0.09 + 0.16) / 4)
    assert evaluate.ece(p, evaluate.target(weak, strong), bins=2) == pytest.approx(0.275)


# ------------------------------------------------------------------ commands


def test_evaluate_prints_every_source_with_intervals_and_draws_it(folder: Path, model: Path) -> None:
    page = folder / "report.html"
    result = run("evaluate", folder / "test.jsonl", "--model", model, "--resamples", 20, "--html", page)
    assert result.exit_code == 0, result.output
    for name in ("pooled", "sources equal", "mmlu", "gsm8k", "code_output", "random", "oracle"):
        assert name in result.output
    html = page.read_text()
    assert html.count("<svg") == 2
    assert "quality gap recovered" in html
    assert "predicted probability" in html


def test_evaluate_as_json_has_every_measure_with_its_interval(folder: Path, model: Path) -> None:
    pooled = run_json("evaluate", folder / "test.jsonl", "--model", model, "--resamples", 20)["measures"]["pooled"]
    assert pooled["apgr"]["low"] < pooled["apgr"]["value"] < pooled["apgr"]["high"]
    assert pooled["saved_random"]["value"] < pooled["saved_oracle"]["value"]


def test_evaluate_says_when_it_is_shown_the_training_data(folder: Path, model: Path) -> None:
    result = run("evaluate", folder / "train.jsonl", "--model", model, "--resamples", 10)
    assert "these are the rows the model was trained on" in result.output


def test_calibrate_keeps_the_quality_it_is_asked_for(folder: Path, model: Path) -> None:
    found = run_json("calibrate", folder / "test.jsonl", "--model", model, "--target-quality", 0.97)
    assert found["quality"] >= 0.97
    assert 0 < found["cheap_share"] < 1
    assert found["cost"] == pytest.approx(1 - found["cheap_share"])


def test_calibrate_stays_within_the_cost_it_is_given(folder: Path, model: Path) -> None:
    options = ("--model", model, "--max-cost", 0.6, "--prices", "0.5,5")
    found = run_json("calibrate", folder / "test.jsonl", *options)
    assert found["cost"] <= 0.6
    assert found["cost"] == pytest.approx(1 - 0.9 * found["cheap_share"])


@pytest.mark.parametrize(
    "options", [(), ("--target-quality", 0.9, "--max-cost", 0.5), ("--max-cost", 0.5, "--prices", "2,1")]
)
def test_calibrate_refuses_what_makes_no_sense(folder: Path, model: Path, options: tuple[object, ...]) -> None:
    assert run("calibrate", folder / "test.jsonl", "--model", model, *options).exit_code == 2


def test_score_writes_a_probability_for_every_id(folder: Path, model: Path) -> None:
    out = folder / "preds.csv"
    assert run("score", "--in", folder / "test.jsonl", "--out", out, "--model", model).exit_code == 0
    with out.open() as file:
        rows = list(csv.DictReader(file))
    expected = [orjson.loads(line) for line in (folder / "test.jsonl").read_bytes().splitlines()]
    assert [row["id"] for row in rows] == [row["id"] for row in expected]
    first = Classifier.load(model).probability(expected[0]["text"])
    assert float(rows[0]["p_expensive"]) == pytest.approx(first, abs=1e-6)


def test_compare_shows_the_difference_with_its_interval(folder: Path, model: Path) -> None:
    options = ("--model", model, "--with-shipped", "--resamples", 20)
    columns = run_json("compare", folder / "test.jsonl", *options)
    assert list(columns) == ["shipped", str(model)]
    away = columns[str(model)]["apgr"]["against_first"]
    assert away["low"] <= away["value"] <= away["high"]
    assert columns["shipped"]["apgr"]["against_first"] is None


def test_explain_names_the_features_and_prices_both_roads(model: Path) -> None:
    options = ("--model", model, "--cheap", "gpt-4o-mini", "--expensive", "gpt-4o")
    found = run_json("explain", "What is the capital of France?", *options)
    assert found["tier"] in ("cheap", "expensive")
    assert len(found["features"]) == 8
    assert 0 < found["prompt_usd"]["cheap"] < found["prompt_usd"]["expensive"]
    spoken = run("explain", "What is the capital of France?", "--model", model)
    assert f"threshold {found['threshold']:.3f}" in spoken.output

"""`gateway router`: train the routing classifier, measure it, pick its threshold, ask it why.

scikit-learn takes seconds to import, so the offline half is imported by the commands that need it.
"""

import asyncio
import csv
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TextIO

import click
import orjson

from gateway.accounting.prices import PriceTable
from gateway.errors import ConfigError
from gateway.routing.decide import DEFAULT_QUALITY
from gateway.routing.document import dump
from gateway.routing.model import Classifier, shipped_bytes
from gateway.tokens.encodings import Encodings, encoding_name
from gateway.values import NANO, Target

if TYPE_CHECKING:
    from gateway.routing.offline.dataset import Dataset

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
SHARE = click.FloatRange(0, 1)
DATA = click.argument("data", nargs=-1, required=True, type=FILE)
MODEL = click.option("--model", type=NEW_FILE, help="Model file; default: the one that ships.")
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
LEDGER = click.option("--from-ledger", "ledger", metavar="URL", help="Labels of a gateway, in its ledger's database.")
ROUTE = click.option("--route", metavar="NAME", help="Only the labels of this route.")
RESAMPLES = click.option(
    "--resamples", default=400, show_default=True, type=click.IntRange(10, 100_000), help="Bootstrap draws."
)


class _Step(Protocol):
    def __call__(self, done: str, /) -> None: ...


@contextmanager
def _progress(steps: int) -> Iterator[_Step]:
    """A bar on a terminal, plain lines otherwise; both on stderr, so that output can be piped."""
    if not sys.stderr.isatty():
        yield lambda done: click.echo(done, err=True)
        return
    with click.progressbar(length=steps, file=sys.stderr, item_show_func=lambda item: item) as bar:
        yield lambda done: bar.update(1, done)


@contextmanager
def _problems() -> Iterator[None]:
    """A file that cannot be used ends the command with its problems on stderr and exit code 1."""
    try:
        yield
    except ConfigError as exc:
        for problem in exc.problems:
            click.echo(f"error: {problem}", err=True)
        raise SystemExit(1) from exc


def _read(paths: tuple[Path, ...], exclude: tuple[str, ...] = ()) -> "Dataset":
    from gateway.routing.offline.dataset import read

    with _problems():
        return read(paths, exclude=frozenset(exclude))


def _gather(
    paths: tuple[Path, ...], exclude: tuple[str, ...], ledger: str | None, route: str | None, *, held_out: bool
) -> "Dataset":
    """Rows of files and of a ledger together."""
    if ledger is None:
        if not paths:
            raise click.UsageError("expected DATA, or --from-ledger")
        return _read(paths, exclude)
    from gateway.routing.offline import labelled

    with _problems():
        rows = asyncio.run(labelled.read(ledger, route=route, held_out=held_out))
    return _read(paths, exclude).with_rows(rows) if paths else rows


def _load(model: Path | None) -> Classifier:
    with _problems():
        return Classifier.load(model)


@click.group()
def router() -> None:
    """Train, measure and question the classifier that picks the cheap or the expensive tier."""


# ------------------------------------------------------------------ make one


@router.command(short_help="fit a classifier on labelled prompts")
@click.argument("data", nargs=-1, type=FILE)
@click.option("--out", required=True, type=NEW_FILE, help="Model file to write.")
@click.option("--exclude", multiple=True, metavar="SOURCE", help="Leave out rows of this source; repeatable.")
@LEDGER
@ROUTE
def train(data: tuple[Path, ...], out: Path, exclude: tuple[str, ...], ledger: str | None, route: str | None) -> None:
    """Fit a classifier on DATA: JSON lines, plain or .gz, each with a text and what came of it.

    \b
    {"text": …, "weak_score": 0, "strong_score": 1}   how well each model did, 0 to 1
    {"text": …, "need": 1}                            only the expensive one would do
    {"text": …, "winner": "cheap"}                    cheap, expensive or tie

    A source, and a subset of it, may say what kind of task a row is. With --from-ledger also, or only, on what a
    gateway has learned from its own traffic; a fifth of that is left for `gateway router promote`.
    """
    rows = _gather(data, exclude, ledger, route, held_out=False)
    from gateway.routing.offline import train as training

    if len(rows.rows) < training.MIN_ROWS:
        raise click.UsageError(f"{len(rows.rows)} rows are too few to learn from: {training.MIN_ROWS} are the least")
    if not (rows.strong > rows.weak).any() or not (rows.strong <= rows.weak).any():
        raise click.UsageError("every prompt has the same outcome: there is nothing to tell apart")
    words = ["gateway", "router", "train", *map(str, data), "--out", str(out)]
    words += [word for source in exclude for word in ("--exclude", source)]
    words += ["--from-ledger"] if ledger else []  # its URL may hold a password
    words += ["--route", route] if route else []
    with _progress(training.STEPS) as progress:
        document = training.train(rows, command=shlex.join(words), progress=progress)
    out.write_bytes(dump(document))
    click.echo(f"wrote {out}: {len(document.terms.names):,} words, fitted on {len(rows.rows):,} prompts")
    for name, value in document.about.quality.items():
        click.echo(f"  {name:<12} {value:.4f}   (out of fold)")


# ------------------------------------------------------------------ measure it


@router.command(short_help="measure a classifier on prompts that it was not trained on")
@DATA
@MODEL
@JSON
@RESAMPLES
@click.option("--html", type=NEW_FILE, help="Write the report with its pictures to this file too.")
@click.option(
    "--without-each-source-of",
    "leave_out",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Training data: also fit a model without each of its sources, and test it on that one; repeatable.",
)
def evaluate(
    data: tuple[Path, ...],
    model: Path | None,
    as_json: bool,
    resamples: int,
    html: Path | None,
    leave_out: tuple[Path, ...],
) -> None:
    """Measure a classifier on DATA it was not trained on: pooled, by source, with 95% intervals."""
    classifier, rows = _load(model), _read(data)
    from gateway.routing.offline import page, report, transfer

    if rows.fingerprint == classifier.about.made.fingerprint:
        click.echo("note: these are the rows the model was trained on; the figures flatter it", err=True)
    scored, threshold = report.Scored.of(classifier, rows), classifier.threshold(DEFAULT_QUALITY)
    with _progress(len(rows.counts()) + 2) as progress:
        table = report.measure(scored, rows.sources, threshold=threshold, resamples=resamples, progress=progress)
    result: dict[str, object] = {"threshold": threshold, "measures": table}
    if leave_out:
        known = _read(leave_out)
        with _progress(len(known.counts())) as progress:
            strangers = transfer.without_each_source(known, rows, resamples=resamples, progress=progress)
        result["without_each_source"] = strangers
    if html is not None:
        html.write_text(page.as_html("Router evaluation", _facts(classifier, rows), table, rows.counts(), scored))
    if as_json:
        click.echo(orjson.dumps(result, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(report.as_text(table, rows.counts()))
    if leave_out:
        click.echo("\n" + transfer.as_text(strangers))


def _facts(classifier: Classifier, rows: "Dataset") -> list[str]:
    made = classifier.about.made
    sources = ", ".join(f"{name} {count:,}" for name, count in made.sources.items())
    return [
        f"{len(rows.rows):,} prompts, SHA-256 {rows.fingerprint[:16]}…",
        f"The model: {made.command}; {made.rows:,} prompts ({sources}), SHA-256 {made.fingerprint[:16]}…",
    ]


@router.command(short_help="measure several classifiers on the same prompts")
@DATA
@click.option("--model", "models", multiple=True, required=True, type=FILE, help="Model file; repeatable.")
@click.option("--with-shipped", is_flag=True, help="Put the shipped model in the first column.")
@JSON
@RESAMPLES
def compare(
    data: tuple[Path, ...], models: tuple[Path, ...], with_shipped: bool, as_json: bool, resamples: int
) -> None:
    """Measure several classifiers on the same DATA, and how far each is from the first."""
    rows = _read(data)
    classifiers = {str(path): _load(path) for path in models}
    if with_shipped:
        classifiers = {"shipped": _load(None), **classifiers}
    from gateway.routing.offline import transfer

    with _progress(len(classifiers)) as progress:
        columns = transfer.side_by_side(classifiers, rows, resamples=resamples, progress=progress)
    if as_json:
        click.echo(orjson.dumps(columns, option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(transfer.compared_as_text(columns))


# ------------------------------------------------------------------ put it in place


@router.command(short_help="put a candidate in a model's place, if it is shown to be better")
@click.argument("candidate", type=FILE)
@click.argument("data", nargs=-1, type=FILE)
@click.option(
    "--over", "file", required=True, type=NEW_FILE, help="Model file in force; not there yet: the shipped one."
)
@click.option("--margin", default=0.05, show_default=True, type=SHARE, help="How much worse it may be at the most.")
@LEDGER
@ROUTE
@JSON
def promote(
    candidate: Path,
    data: tuple[Path, ...],
    file: Path,
    margin: float,
    ledger: str | None,
    route: str | None,
    as_json: bool,
) -> None:
    """Put CANDIDATE in the place of a model, if it is shown to be no worse on held-out DATA or labels of the ledger.

    Refused with exit code 1 otherwise. Running gateways take it up when they reload; `gateway router rollback` takes it
    back.
    """
    rows = _gather(data, (), ledger, route, held_out=True)
    new, current = _load(candidate), _load(file if file.exists() else None)
    from gateway.routing.offline import promote as promotion

    if not rows.rows:
        raise click.UsageError("there are no held-out labels to try it on")
    trial = promotion.try_out(new, current, rows, margin=margin)
    if not trial.reasons:
        former = file.read_bytes() if file.exists() else shipped_bytes()
        promotion.put_in_place(candidate.read_bytes(), file, former)
    if as_json:
        click.echo(orjson.dumps({"promoted": not trial.reasons, "trial": trial}, option=orjson.OPT_INDENT_2).decode())
    else:
        for name, change in (("APGR", trial.apgr), ("quality kept", trial.kept)):
            click.echo(
                f"{name}: {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), {trial.prompts} prompts"
            )
        for reason in trial.reasons:
            click.echo(f"refused: {reason}", err=True)
        if not trial.reasons:
            click.echo(f"{file} is now {candidate}; before: {promotion.previous(file)}. Reload gateways that use it.")
    if trial.reasons:
        raise SystemExit(1)


@router.command(short_help="put back the model from before the last promotion")
@click.argument("file", type=FILE)
def rollback(file: Path) -> None:
    """Put back the model that FILE was before the last promotion."""
    from gateway.routing.offline import promote as promotion

    if not promotion.previous(file).exists():
        raise click.ClickException(f"{promotion.previous(file)} is not there: nothing was promoted over {file}")
    _load(promotion.previous(file))
    promotion.roll_back(file)
    click.echo(f"{file} is what it was before. Reload gateways that use it.")


# ------------------------------------------------------------------ pick its threshold


@dataclass(frozen=True)
class _Prices:
    """What one average call costs at each tier."""

    cheap: float = 0.0
    expensive: float = 1.0

    def cost(self, cheap_share: float) -> float:
        """As a share of sending everything to the expensive tier."""
        return (cheap_share * self.cheap + (1 - cheap_share) * self.expensive) / self.expensive

    def expensive_share(self, cost: float) -> float:
        """The largest share of expensive calls that costs no more than `cost`, a share as above."""
        room = (cost * self.expensive - self.cheap) / (self.expensive - self.cheap)
        return max(0.0, min(1.0, room))


def _prices(ctx: click.Context, param: click.Parameter, text: str | None) -> _Prices:
    if text is None:
        return _Prices()
    try:
        cheap, expensive = map(float, text.split(","))
    except ValueError:
        raise click.BadParameter("expected two numbers, CHEAP,EXPENSIVE") from None
    if not 0 <= cheap < expensive:
        raise click.BadParameter("expected 0 <= CHEAP < EXPENSIVE")
    return _Prices(cheap, expensive)


@router.command(short_help="find the threshold that keeps a quality or a cost")
@DATA
@MODEL
@JSON
@click.option("--target-quality", type=SHARE, help="Share of the expensive tier's mean score to keep.")
@click.option("--max-cost", type=SHARE, help="Most that may be spent, as a share of sending everything up.")
@click.option(
    "--prices",
    callback=_prices,
    metavar="CHEAP,EXPENSIVE",
    help="What an average call costs at each tier, in any unit; default 0,1: cost is the share of expensive calls.",
)
def calibrate(
    data: tuple[Path, ...],
    model: Path | None,
    as_json: bool,
    target_quality: float | None,
    max_cost: float | None,
    prices: _Prices,
) -> None:
    """Find the threshold that keeps a quality, or stays within a cost, on DATA."""
    if (target_quality is None) == (max_cost is None):
        raise click.UsageError("expected either --target-quality or --max-cost")
    classifier, rows = _load(model), _read(data)
    from gateway.routing.offline import calibrate as calibration
    from gateway.routing.offline.report import Scored

    served = Scored.of(classifier, rows).served()
    points = served.curve()
    if target_quality is not None:
        threshold = calibration.threshold_for(points, target_quality)
    else:
        threshold = calibration.threshold_at_cost(points, prices.expensive_share(max_cost or 0.0))
    kept = points.kept_at(threshold)
    row = calibration.with_interval(threshold, kept, served.p, served.weak, served.strong)
    if as_json:
        click.echo(orjson.dumps({**row.model_dump(), "cost": prices.cost(row.cheap_share)}).decode())
        return
    click.echo(f"threshold: {threshold:.4f}")
    click.echo(f"  keeps {kept:.1%} ({row.low:.1%} to {row.high:.1%}) of the expensive tier's mean score")
    click.echo(f"  sends {row.cheap_share:.1%} cheap and costs {prices.cost(row.cheap_share):.1%} of sending all up")


# ------------------------------------------------------------------ ask it


@router.command(short_help="write `id,p_expensive` for each prompt of a file")
@click.option("--in", "source", required=True, type=click.File("rb"), help="JSON lines with a text; - for stdin.")
@click.option("--out", required=True, type=click.File("w", encoding="utf-8"), help="CSV to write; - for stdout.")
@MODEL
def score(source: BinaryIO, out: TextIO, model: Path | None) -> None:
    """Write `id,p_expensive` for each prompt of a file. A row without an id gets its line number."""
    classifier = _load(model)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "p_expensive"])
    for number, line in enumerate(source, 1):
        if line.strip():
            fields = _prompt(line, number)
            writer.writerow([fields.get("id", number), f"{classifier.probability(fields['text']):.6f}"])


def _prompt(line: bytes, number: int) -> dict[str, str]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as exc:
        raise click.ClickException(f"line {number}: not JSON: {exc}") from exc
    if not isinstance(fields, dict) or not isinstance(fields.get("text"), str):
        raise click.ClickException(f"line {number}: expected an object with a string 'text'")
    return fields


@router.command(short_help="probability, threshold and strongest features of a prompt")
@click.argument("query")
@MODEL
@JSON
@click.option("--top", default=8, show_default=True, type=click.IntRange(1, 100), help="How many features to show.")
@click.option("--cheap", "cheap_model", metavar="MODEL", help="Price this model for the cheap road.")
@click.option("--expensive", "expensive_model", metavar="MODEL", help="Price this model for the expensive road.")
def explain(
    query: str, model: Path | None, as_json: bool, top: int, cheap_model: str | None, expensive_model: str | None
) -> None:
    """Show the probability, threshold and strongest features for QUERY; nothing is called."""
    classifier = _load(model)
    verdict, threshold = classifier.judge(query), classifier.threshold(DEFAULT_QUALITY)
    tier = "cheap" if verdict.is_familiar and verdict.probability < threshold else "expensive"
    strongest = classifier.strongest(query, top)
    models = {"cheap": cheap_model, "expensive": expensive_model}
    costs = {road: _prompt_nanousd(query, name) for road, name in models.items() if name is not None}
    if as_json:
        fields = {
            "tier": tier,
            "probability": verdict.probability,
            "threshold": threshold,
            "is_familiar": verdict.is_familiar,
            "kind": verdict.kind,
            "features": [{"name": name, "points": points} for name, points in strongest],
            "prompt_usd": {road: None if cost is None else cost / NANO for road, cost in costs.items()},
        }
        click.echo(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(
        f"{tier}: probability {verdict.probability:.3f}, threshold {threshold:.3f} for quality {DEFAULT_QUALITY}"
    )
    click.echo(f"likest to {verdict.kind} ({verdict.share:.0%}); {_familiarity(verdict.is_familiar)}")
    for name, points in strongest:
        click.echo(f"  {'up  ' if points > 0 else 'down'} {points:+.3f}  {name}")
    for road, cost in costs.items():
        shown = "no known price" if cost is None else f"${cost / NANO:.9f} for the prompt"
        click.echo(f"  {road}: {models[road]}, {shown}")


def _familiarity(is_familiar: bool) -> str:
    if is_familiar:
        return "familiar"
    return "unfamiliar, so it goes up whatever the probability"


def _prompt_nanousd(query: str, model: str) -> int | None:
    """What `query` alone costs as a prompt; None where no price is known."""
    rates = PriceTable.build({}, at=datetime.now(UTC)).rates(Target.parse(model) if "/" in model else Target("", model))
    if rates is None:
        return None
    tokens = Encodings().load_here(encoding_name(model)).count(query)
    return round(tokens * rates.input / 1000)

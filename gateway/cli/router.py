"""`gateway router`: train the routing classifier, measure it, pick its threshold, ask it why.

scikit-learn takes seconds to import, so the offline half is imported by the commands that need it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click
import orjson

from gateway.errors import ConfigError
from gateway.routing.decide import DEFAULT_QUALITY
from gateway.routing.model import Classifier, dump

DATA = click.argument("data", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
MODEL = click.option(
    "--model", type=click.Path(dir_okay=False, path_type=Path), help="Model file; default: the one that ships."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
SHARE = click.FloatRange(0, 1)


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


@click.group()
def router() -> None:
    """Train, measure and question the classifier that picks the cheap or the expensive tier."""


@router.command()
@DATA
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="Model file to write.")
@click.option("--exclude", multiple=True, metavar="SOURCE", help="Leave out rows of this source; may be repeated.")
@click.option("--seed", default=0, show_default=True, help="Of the folds.")
def train(data: tuple[Path, ...], out: Path, exclude: tuple[str, ...], seed: int) -> None:
    """Fit a classifier on DATA: JSON lines with text, weak_score and strong_score, plain or .gz."""
    from gateway.routing.offline import train as training
    from gateway.routing.offline.dataset import read

    with _problems():
        rows = read(data, exclude=frozenset(exclude))
    if len(rows.rows) < training.MIN_ROWS:
        raise click.UsageError(f"{len(rows.rows)} rows are too few to learn from: {training.MIN_ROWS} are the least")
    if not (rows.strong > rows.weak).any() or not (rows.strong <= rows.weak).any():
        raise click.UsageError("every prompt has the same outcome: there is nothing to tell apart")
    command = " ".join(["gateway router train", *map(str, data), f"--out {out}", *(f"--exclude {s}" for s in exclude)])
    command += f" --seed {seed}" if seed else ""
    with _progress(training.steps()) as progress:
        document = training.train(rows, command=command, settings=training.Settings(seed=seed), progress=progress)
    out.write_bytes(dump(document))
    click.echo(f"wrote {out}: {len(document.terms.names):,} terms, fitted on {len(rows.rows):,} prompts")
    for name, value in document.quality.items():
        click.echo(f"  {name:<12} {value:.4f}   (out of fold)")


@router.command()
@DATA
@MODEL
@JSON
def evaluate(data: tuple[Path, ...], model: Path | None, as_json: bool) -> None:
    """Measure a classifier on DATA it was not trained on, pooled and by source."""
    import numpy as np

    from gateway.routing.offline import report
    from gateway.routing.offline.dataset import read

    with _problems():
        classifier, rows = Classifier.load(model), read(data)
    if rows.fingerprint == classifier.document.made.fingerprint:
        click.echo("note: these are the rows the model was trained on; the figures flatter it", err=True)
    p = np.array([classifier.probability(text) for text in rows.texts])
    table = report.measure(p, rows, threshold=classifier.threshold(DEFAULT_QUALITY))
    click.echo(orjson.dumps(table, option=orjson.OPT_INDENT_2).decode() if as_json else report.as_text(table))


@router.command()
@DATA
@MODEL
@JSON
@click.option("--target-quality", type=SHARE, help="Share of the expensive tier's mean score to keep.")
@click.option("--max-cost", type=SHARE, help="Largest share of calls that may go to the expensive tier.")
def calibrate(
    data: tuple[Path, ...], model: Path | None, as_json: bool, target_quality: float | None, max_cost: float | None
) -> None:
    """Find the threshold that keeps a quality, or a cost, on DATA."""
    if (target_quality is None) == (max_cost is None):
        raise click.UsageError("expected either --target-quality or --max-cost")
    import numpy as np

    from gateway.routing.offline import calibrate as calibration
    from gateway.routing.offline import evaluate as measures
    from gateway.routing.offline.dataset import read

    with _problems():
        classifier, rows = Classifier.load(model), read(data)
    p = np.array([classifier.probability(text) for text in rows.texts])
    points = measures.curve(p, rows.weak, rows.strong)
    if target_quality is not None:
        row = calibration.operating(points, target_quality)
    else:
        row = calibration.operating_at_cost(points, max_cost or 0.0)
    if as_json:
        click.echo(row.model_dump_json())
        return
    click.echo(f"threshold: {row.threshold:.4f}")
    click.echo(f"  keeps {row.quality:.1%} of the expensive tier's mean score and sends {row.cheap_share:.1%} cheap")


@router.command()
@click.argument("query")
@MODEL
@JSON
@click.option("--top", default=8, show_default=True, type=click.IntRange(1, 100), help="How many features to show.")
def explain(query: str, model: Path | None, as_json: bool, top: int) -> None:
    """Show the probability, threshold and strongest features for QUERY; nothing is called."""
    with _problems():
        classifier = Classifier.load(model)
    verdict, threshold = classifier.judge(query), classifier.threshold(DEFAULT_QUALITY)
    tier = "cheap" if verdict.is_familiar and verdict.probability < threshold else "expensive"
    strongest = classifier.strongest(query, top)
    if as_json:
        fields = {
            "tier": tier,
            "probability": verdict.probability,
            "threshold": threshold,
            "is_familiar": verdict.is_familiar,
            "features": [{"name": name, "weight": weight} for name, weight in strongest],
        }
        click.echo(orjson.dumps(fields, option=orjson.OPT_INDENT_2).decode())
        return
    click.echo(
        f"{tier}: probability {verdict.probability:.3f}, threshold {threshold:.3f} for quality {DEFAULT_QUALITY}"
    )
    if not verdict.is_familiar:
        click.echo("unfamiliar: too few of its words occurred in training, so it goes up whatever the probability")
    for name, weight in strongest:
        click.echo(f"  {'up  ' if weight > 0 else 'down'} {weight:+.3f}  {name}")

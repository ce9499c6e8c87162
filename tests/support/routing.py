"""A classifier small enough to work out by hand."""

from gateway.routing import features
from gateway.routing.document import (
    About,
    Calibration,
    Document,
    Kind,
    Limits,
    Linear,
    Made,
    Operating,
    Surface,
    Terms,
)

NAMES = ("a", "an", "easy", "hard", "question", "spelling")
WIDTH = len(features.SURFACE)
NONE = (0.0,) * WIDTH
ONES = (1.0,) * WIDTH


def linear(*rows: tuple[float, ...], intercepts: tuple[float, ...] | None = None) -> Linear:
    return Linear(terms=rows, surface=(NONE,) * len(rows), intercepts=intercepts or (0.0,) * len(rows))


def tiny_document() -> Document:
    """Knows six words, and two kinds of task. Thresholds are for qualities 0.8 and 0.9.

    `spelling` makes a prompt a language one, on which the cheap model is better by fixed odds; everything else is a
    general one, where `easy` lowers and `hard` raises the odds. Surface measures weigh nothing, and no prompt is far
    from either kind.
    """
    return Document(
        format="llm-gateway-router",
        schema_version=2,
        features_version=features.VERSION,
        about=About(
            made=Made(command="by hand", fingerprint="0" * 64, rows=0, sources={}),
            thresholds=(
                Operating(quality=0.8, threshold=0.6, cheap_share=0.5, low=0.7, high=0.9),
                Operating(quality=0.9, threshold=0.4, cheap_share=0.2, low=0.8, high=1.0),
            ),
            quality={},
            deciles={"probability": tuple(n / 10 for n in range(1, 10))},
        ),
        terms=Terms(names=NAMES, idf=(1.0, 1.0, 2.0, 2.0, 1.0, 1.0)),
        surface=Surface(names=features.SURFACE, mean=NONE, scale=ONES, limit=4.0),
        gate=linear((0.0,) * 6, (0.0, 0.0, 0.0, 0.0, 0.0, 80.0), intercepts=(20.0, -20.0)),
        kinds=(
            Kind(
                name="general",
                outcomes=("better", "worse"),
                need=linear((0.0, 0.0, -3.0, 3.0, 0.0, 0.0)),
                center=NONE,
                spread=(1000.0,) * WIDTH,
                distance_limit=2.0,
            ),
            Kind(
                name="language",
                outcomes=("better", "worse", "neither"),
                need=linear((0.0,) * 6, (0.0,) * 6, intercepts=(0.0, 1.0)),
                center=NONE,
                spread=(1000.0,) * WIDTH,
                distance_limit=2.0,
            ),
        ),
        calibration=Calibration(slope=1.0, intercept=0.0),
        limits=Limits(known_words_min=0.5, gate_share_min=0.5),
    )

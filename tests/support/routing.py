"""A classifier small enough to work out by hand."""

from gateway.routing import features
from gateway.routing.model import Calibration, Document, Made, Operating, Surface, Terms


def tiny_document() -> Document:
    """Knows six words; `easy` lowers and `hard` raises the score. Thresholds are for qualities 0.8 and 0.9."""
    names = ("a", "an", "easy", "hard", "question", "hard question")
    width = len(features.SURFACE)
    return Document(
        format="llm-gateway-router",
        schema_version=1,
        features_version=features.VERSION,
        made=Made(command="by hand", fingerprint="0" * 64, rows=0, sources={}),
        kinds=("all",),
        gate_intercepts=(0.0,),
        need_intercepts=(0.0,),
        terms=Terms(
            names=names,
            idf=(1.0, 1.0, 2.0, 2.0, 1.0, 4.0),
            gate=((0.0,) * len(names),),
            need=((0.0, 0.0, -3.0, 3.0, 0.0, 1.0),),
        ),
        surface=Surface(
            names=features.SURFACE,
            mean=(0.0,) * width,
            scale=(1.0,) * width,
            gate=((0.0,) * width,),
            need=((0.0,) * width,),
        ),
        calibration=Calibration(slope=1.0, intercept=0.0),
        known_words_min=0.5,
        thresholds=(
            Operating(quality=0.8, threshold=0.6, cheap_share=0.5),
            Operating(quality=0.9, threshold=0.4, cheap_share=0.2),
        ),
        quality={},
    )

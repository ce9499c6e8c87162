"""Count every recorded request and compare with what OpenAI reported: `python -m tests.bench.tokens [--misses]`.

One line a kind and half. `2 tok` is within two tokens, `1%` and `2%` within that share of the report,
`error` the mean of |count - report| / report. Kinds below the line are bounds: something in the prompt
is not in the request.
"""

import sys
from collections.abc import Sequence

from gateway.tokens.count import TokenCounter
from tests.support.token_rows import KINDS, Row, rows
from tests.support.tokens import encodings

FIRST_BOUND = "images, size unknown"


def main(arguments: Sequence[str]) -> None:
    counter = TokenCounter(encodings())
    counted = [(row, sum(part.tokens for part in counter.parts(row.request, row.request.model))) for row in rows()]
    counter.close()
    print(f"{'kind':22}{'half':9}{'rows':>5}{'exact':>8}{'2 tok':>8}{'1%':>8}{'2%':>8}{'error':>9}")
    for kind in KINDS:
        if kind == FIRST_BOUND:
            print("-" * 77)
        for half in ("fitted", "report"):
            part = [(row, n) for row, n in counted if row.kind == kind and row.is_fitted == (half == "fitted")]
            if part:
                print(f"{kind:22}{half:9}{len(part):5}" + _shares(part))
    if "--misses" in arguments:
        _print_misses(counted)


def _shares(counted: Sequence[tuple[Row, int]]) -> str:
    gaps = [(abs(n - row.prompt_tokens), row.prompt_tokens) for row, n in counted]
    hits = (
        sum(gap == 0 for gap, _ in gaps),
        sum(gap <= 2 for gap, _ in gaps),
        sum(gap <= 0.01 * reported for gap, reported in gaps),
        sum(gap <= 0.02 * reported for gap, reported in gaps),
    )
    error = sum(gap / reported for gap, reported in gaps) / len(gaps)
    return "".join(f"{hit / len(gaps):8.0%}" for hit in hits) + f"{error:9.2%}"


def _print_misses(counted: Sequence[tuple[Row, int]]) -> None:
    print(f"\n{'kind':22}{'half':9}{'counted':>8}{'reported':>9}  model, source")
    for row, n in sorted(counted, key=lambda pair: KINDS.index(pair[0].kind)):
        if n != row.prompt_tokens:
            half = "fitted" if row.is_fitted else "report"
            print(f"{row.kind:22}{half:9}{n:8}{row.prompt_tokens:9}  {row.request.model}, {row.source}")


if __name__ == "__main__":
    main(sys.argv[1:])

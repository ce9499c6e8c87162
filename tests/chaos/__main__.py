"""All attacks of this folder, one after the other, and a table of what was measured beside what is promised.

    python -m tests.chaos [NAME …]

Every module here that has a `main()` is one: it returns its figures, or fails. Under ten minutes in all.
"""

import importlib
import pkgutil
import sys
import time

import tests.chaos
from tests.chaos.figures import Figure, table


def main() -> None:
    wanted = sys.argv[1:]
    figures: list[Figure] = []
    for module in pkgutil.iter_modules(tests.chaos.__path__):
        if module.name.startswith("_") or (wanted and module.name not in wanted):
            continue
        attack = getattr(importlib.import_module(f"tests.chaos.{module.name}"), "main", None)
        if attack is None:
            continue
        began = time.monotonic()
        try:
            found = attack()
        except Exception as error:  # the others still have something to say
            found = [Figure(module.name, repr(error)[:200], "runs to its end", holds=False)]
        figures += found or []
        sys.stdout.write(f"{module.name}, {time.monotonic() - began:.0f} s\n{table(found or [])}\n")
        sys.stdout.flush()
    sys.exit(0 if figures and all(figure.holds for figure in figures) else 1)


if __name__ == "__main__":
    main()

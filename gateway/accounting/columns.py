"""The arithmetic of `cost.py` over columns: many calls at once, the same to the nano-dollar (a test compares them)."""

import numpy as np

from gateway.accounting.asked import Booleans, Integers, Tokens
from gateway.accounting.cost import FULL_PRICE, PICO_PER_NANO
from gateway.values import Rates

_NO_STEP = np.iinfo(np.int64).max
_UNIT = PICO_PER_NANO * FULL_PRICE


class PriceColumns:
    """Rates by number, and what calls at them cost."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, ...]] = []
        self._table = np.zeros((0, 8), np.int64)

    def add(self, rates: Rates) -> int:
        """The number of `rates` from now on."""
        number = len(self._rows)
        steps = [rates, *(dearer for _, dearer in rates.longer)]
        ends = [*(most for most, _ in rates.longer), _NO_STEP]
        self._rows += [_row(step, end, rates) for step, end in zip(steps, ends, strict=True)]
        self._table = np.array(self._rows, np.int64)
        return number

    def cost_nanousd(self, tokens: Tokens, numbers: Integers, thousandths: Integers) -> Integers:
        """Of each call, at the rates of its number, times what its class of service multiplies them by."""
        while (beyond := tokens.input > self._table[numbers, 6]).any():
            numbers = numbers + beyond
        inputs, cached, writes, heard, outputs, spoken = self._table[numbers].T[:6]
        rest = np.maximum(tokens.input - tokens.cached_input - tokens.cache_write - tokens.audio_input, 0)
        text = np.maximum(tokens.output - tokens.audio_output, 0)
        pico = rest * inputs + text * outputs
        pico += tokens.cached_input * cached + tokens.cache_write * writes
        pico += tokens.audio_input * heard + tokens.audio_output * spoken
        whole, part = np.divmod(pico, _UNIT)  # the product of it all might need more than 64 bits
        nanousd: Integers = whole * thousandths + (part * thousandths + _UNIT // 2) // _UNIT
        return nanousd

    def is_priced(self, tokens: Tokens, numbers: Integers) -> Booleans:
        """Whether there is a price for every class of tokens that a call has."""
        sound = self._table[numbers, 7]
        is_missing: Booleans = (tokens.audio_input > 0) & (sound & 1 == 0)
        is_missing |= (tokens.audio_output > 0) & (sound & 2 == 0)
        return ~is_missing


def _row(rates: Rates, end: int, base: Rates) -> tuple[int, ...]:
    """Prices of the six classes, up to which prompt they hold (the next row goes on), and which sound has a price."""
    return (
        rates.input,
        rates.cached_input,
        rates.input if rates.cache_write is None else rates.cache_write,
        rates.input if rates.audio_input is None else rates.audio_input,
        rates.output,
        rates.output if rates.audio_output is None else rates.audio_output,
        end,
        (base.audio_input is not None) + 2 * (base.audio_output is not None),
    )

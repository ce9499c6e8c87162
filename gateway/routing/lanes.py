"""Many weighted sums at once in plain Python: a row of numbers packed in one integer, 64 bits a number.

A classifier adds up, for every word of a prompt, some twenty weights: one for each regression of the mixture. As tuples
of floats that is a thousand additions in the interpreter; with each word's weights side by side in one long integer,
`sum` adds all twenty at once, in C, and exactly. numpy would cost more than it saves here: a tenth of a second and
20 MB at every start, and a microsecond for each of a dozen operations on arrays of twenty.

A number is stored as a whole multiple of `UNIT`, negative ones by borrowing from the lane above; a bias added before
unpacking pays that back. Sums must stay within `LIMIT` on either side; the loader of model files sees to that.
"""

from collections.abc import Sequence
from struct import Struct

UNIT = 2.0**-32
LIMIT = 2.0**30
_BIAS = 1 << 62


class Lanes:
    """Rows of `count` numbers."""

    def __init__(self, count: int) -> None:
        self._struct = Struct(f"<{count}Q")
        self._bytes = 8 * count
        self._bias = sum(_BIAS << (64 * lane) for lane in range(count))

    def pack(self, numbers: Sequence[float]) -> int:
        """Integers made so can be added; the sum of all that are added must stay within `LIMIT` in every lane."""
        lanes = self._struct.pack(*[round(number / UNIT) + _BIAS for number in numbers])
        return int.from_bytes(lanes, "little") - self._bias

    def unpack(self, total: int) -> list[float]:
        """The sum of some packed rows, lane by lane."""
        lanes = self._struct.unpack((total + self._bias).to_bytes(self._bytes, "little"))
        return [(lane - _BIAS) * UNIT for lane in lanes]

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.lanes import LIMIT, UNIT, Lanes

ROWS = st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), max_size=50)


@given(rows=ROWS)
def test_sums_of_packed_rows_are_the_sums_of_their_numbers(rows: list[list[float]]) -> None:
    lanes = Lanes(3)
    found = lanes.unpack(sum(map(lanes.pack, rows)))
    assert found == pytest.approx([sum(row[lane] for row in rows) for lane in range(3)], abs=UNIT * 52)


def test_a_negative_number_does_not_disturb_the_lane_beside_it() -> None:
    lanes = Lanes(2)
    assert lanes.unpack(lanes.pack([-1.5, 2.0]) + lanes.pack([-0.5, -3.0])) == [-2.0, -1.0]


def test_lanes_hold_what_their_limit_says() -> None:
    lanes = Lanes(3)
    assert lanes.unpack(lanes.pack([-LIMIT, LIMIT, 1.0])) == [-LIMIT, LIMIT, 1.0]

from gateway.routing.drift import LABELS, WINDOW, Drift
from gateway.routing.model import Verdict

CUTS = tuple(n / 10 for n in range(1, 10))


def verdict(p: float) -> Verdict:
    return Verdict(probability=p, doubt=None, kind="k", share=1.0, known_words=1.0, distance=0.0)


def seen(*probabilities: float, times: int = WINDOW) -> Drift:
    drift = Drift({"probability": CUTS})
    for n in range(times):
        drift.see(verdict(probabilities[n % len(probabilities)]), 100)
    return drift


def test_traffic_like_the_training_data_is_stable() -> None:
    alike = [n / 10 + 0.05 for n in range(10)]
    assert seen(*alike, times=1000).stability()["probability"] < 1e-9


def test_traffic_of_another_kind_is_not() -> None:
    assert seen(0.95, 0.85).stability()["probability"] > 1.0


def test_few_decisions_say_nothing() -> None:
    assert seen(0.95, times=WINDOW // 4 - 1).stability() == {}


def test_the_window_forgets_what_was_long_ago() -> None:
    drift = seen(0.95, times=2 * WINDOW)
    before = drift.stability()["probability"]
    for n in range(12 * WINDOW):
        drift.see(verdict((n % 10) / 10 + 0.05), 100)
    assert drift.stability()["probability"] < before / 100


def test_cuts_that_coincide_are_one_bin() -> None:
    drift = Drift({"known_words": (0.5, 0.6, 0.7, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0)})
    shares = [0.4, 0.55, 0.65, 0.75, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0]
    for n in range(1000):
        drift.see(verdict(0.5)._replace(known_words=shares[n % 10]), 100)
    assert drift.stability()["known_words"] < 1e-9


def test_calibration_is_said_once_there_are_labels_enough() -> None:
    drift = Drift({})
    for _ in range(49):
        drift.label(0.5, 1.0)
    assert (drift.brier(), drift.bias()) == (None, 0.0)
    drift.label(0.5, 1.0)
    assert (drift.brier(), drift.bias()) == (0.25, 0.5)


def test_a_bias_that_may_be_chance_is_none() -> None:
    drift = Drift({})
    for n in range(100):
        drift.label(0.5, 1.0 if n % 2 else 0.1)
    assert drift.bias() == 0.0


def test_labels_are_forgotten_too() -> None:
    drift = Drift({})
    for n in range(2 * LABELS):
        drift.label(0.5, 0.0 if n < LABELS else 0.5)
    assert drift.brier() == 0.0

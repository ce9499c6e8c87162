from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers as official
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEquals,
    ClauseOr,
    ClauseStartsWith,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounting.cost import cost_nanousd, is_priced
from gateway.accounting.shipped import (
    Catalogue,
    Listed,
    bundled_providers,
    compiled,
    find,
    holding,
    prices_on,
    rates,
    shipped,
)
from gateway.values import Rates, Usage

DAY = date(2026, 11, 22)
SHIPPED = shipped(at=datetime(2026, 11, 22, tzinfo=UTC))


@pytest.fixture(scope="module")
def catalogues() -> dict[str, Catalogue]:
    return SHIPPED


def test_the_quick_reading_equals_the_packages_own_objects() -> None:
    def flat(catalogues: dict[str, Catalogue]) -> list[object]:
        return [
            (id_, dict(c.exact), [listed for _, listed in c.rules], c.falls_back_to) for id_, c in catalogues.items()
        ]

    assert flat(compiled(bundled_providers(), on=DAY)) == flat(compiled(official, on=DAY))


def test_another_layout_of_the_package_falls_back_to_its_api(catalogues: dict[str, Catalogue]) -> None:
    def gone() -> list[object]:
        raise FileNotFoundError("data.py")

    found = shipped(at=datetime(2026, 11, 22, tzinfo=UTC), read=gone)
    assert {id_: c.exact for id_, c in found.items()} == {id_: c.exact for id_, c in catalogues.items()}


def test_every_listed_name_finds_the_model_the_package_finds(catalogues: dict[str, Catalogue]) -> None:
    """Exact names are asked first here and rules in their order there: on the shipped data that is the same."""
    for provider in official:
        for name in catalogues[provider.id].exact:
            model = provider.find_model(name, all_providers=official)
            ours = find(catalogues, provider.id, name)
            assert ours is not None
            if model is not None:  # some ids fit no rule, not even their own
                assert plain(ours) == rates(prices_on(model.prices, DAY)), (provider.id, name)


@pytest.mark.parametrize(
    "name",
    [
        "ft:gpt-4o-2024-08-06:acme::7p4lURel",
        "gpt-4o-audio-preview-2025-06-03",
        "gpt-5.2-20251211",
        "gpt-6-sol-2026-10-01",
        "GPT-4o",
        "no-such-model",
        "",
    ],
)
def test_names_no_list_holds_find_what_the_package_finds(catalogues: dict[str, Catalogue], name: str) -> None:
    for provider in official:
        model = provider.find_model(name, all_providers=official)
        ours = find(catalogues, provider.id, name)
        assert plain(ours) == (model and rates(prices_on(model.prices, DAY)))


def plain(listed: Listed | None) -> Rates | None:
    """Its prices without the classes of service, of which genai-prices knows nothing."""
    return replace(listed.rates, service_tiers={}) if listed is not None and listed.rates is not None else None


def test_a_reseller_falls_back_to_whom_it_resells(catalogues: dict[str, Catalogue]) -> None:
    listed = find(catalogues, "azure", "o3-pro")
    assert listed is not None
    assert (listed.name, listed.provider, listed.context) == ("o3-pro", "openai", 200_000)
    assert plain(listed) == Rates(20_000_000, 20_000_000, 80_000_000)


def test_it_is_known_from_when_a_price_holds(catalogues: dict[str, Catalogue]) -> None:
    listed = find(catalogues, "anthropic", "claude-opus-4-6")
    assert listed is not None
    assert (listed.since, listed.until) == (date(2026, 3, 13), None)


def test_a_price_that_is_to_change_says_when() -> None:
    day = [date(2026, 1, 1), date(2026, 11, 1), date(2026, 12, 1)]
    prices = [ConditionalPrice(prices=usd(), constraint=StartDateConstraint(start_date=start)) for start in day]
    assert holding(prices, date(2026, 11, 22)) == (date(2026, 11, 1), date(2026, 12, 1))
    assert holding(usd(), date(2026, 11, 22)) == (None, None)


def test_rules_of_every_kind_are_read() -> None:
    clause = ClauseOr(
        [
            ClauseAnd([ClauseStartsWith("A-"), ClauseOr([ClauseContains("Mini"), ClauseEquals("a-1")])]),
            ClauseEquals("X"),
        ]
    )
    provider = type(official[0])(id="p", name="P", api_pattern="", models=[ModelInfo(id="m", match=clause)])
    found = compiled([provider], on=DAY)
    names = ["a-mini-2", "a-1", "a-2", "b-mini", "x", "m"]
    assert [find(found, "p", name) is not None for name in names] == [True, True, False, False, True, True]


def usd(**fields: str | TieredPrices) -> ModelPrice:
    return ModelPrice(**{key: Decimal(value) if isinstance(value, str) else value for key, value in fields.items()})


def test_a_price_is_pico_dollars_a_token() -> None:
    price = usd(input_mtok="0.15", cache_read_mtok="0.075", output_mtok="0.6")
    assert rates(vars(price)) == Rates(input=150_000, cached_input=75_000, output=600_000)


def test_cached_input_without_a_price_of_its_own_costs_as_input() -> None:
    assert rates(vars(usd(input_mtok="3", output_mtok="15"))) == Rates(3_000_000, 3_000_000, 15_000_000)


def test_an_embedding_has_no_output_to_pay_for() -> None:
    assert rates(vars(usd(input_mtok="0.02"))) == Rates(20_000, 20_000, 0)


def test_a_price_that_rises_with_the_context_has_its_steps() -> None:
    tiered = TieredPrices(base=Decimal("1.25"), tiers=[Tier(start=200_000, price=Decimal("2.5"))])
    longer = Rates(2_500_000, 2_500_000, 10_000_000)
    expected = Rates(1_250_000, 1_250_000, 10_000_000, longer=((200_000, longer),))
    assert rates(vars(usd(input_mtok=tiered, output_mtok="10"))) == expected


@given(
    model=st.sampled_from(
        [(p.id, m.id) for p in official for m in p.models if p.id in ("openai", "anthropic", "google")]
    ),
    tokens=st.lists(st.integers(0, 400_000), min_size=6, max_size=6),
)
def test_a_call_costs_what_the_package_calculates(model: tuple[str, str], tokens: list[int]) -> None:
    cached, written, heard, rest, spoken, said = tokens
    listed = find(SHIPPED, *model)
    assert listed is not None
    usage = Usage(
        input=cached + written + heard + rest,
        output=spoken + said,
        cached_input=cached,
        cache_write=written,
        audio_input=heard,
        audio_output=spoken,
    )
    if listed.rates is None or not is_priced(usage, listed.rates):
        return
    theirs = genai_prices.Usage(
        input_tokens=usage.input,
        cache_read_tokens=cached,
        cache_write_tokens=written,
        input_audio_tokens=heard,
        cache_audio_read_tokens=0,
        output_tokens=usage.output,
        output_audio_tokens=spoken,
    )
    at = datetime(2026, 11, 22, 12, tzinfo=UTC)
    price = genai_prices.calc_price(theirs, model[1], provider_id=model[0], genai_request_timestamp=at).total_price
    assert abs(cost_nanousd(usage, listed.rates) - price * 10**9) <= Decimal("0.5001")


@pytest.mark.parametrize(
    "price",
    [
        pytest.param(usd(), id="no price at all"),
        pytest.param(usd(audio_hours="0.36"), id="by the hour"),
        pytest.param(usd(input_mtok="0", output_mtok="0"), id="zero"),
        pytest.param(usd(input_mtok="3", output_mtok="15", requests_kcount="14"), id="a fee per request"),
    ],
)
def test_what_is_not_paid_by_the_token_alone_is_unknown_not_free(price: ModelPrice) -> None:
    assert rates(vars(price)) is None


OLD, NEW, PEAK = usd(input_mtok="2"), usd(input_mtok="1"), usd(input_mtok="4")
SINCE_MAY = StartDateConstraint(date(2026, 5, 1))
DAYTIME = TimeOfDateConstraint(time(0, 30, tzinfo=UTC), time(16, 30, tzinfo=UTC))


def test_a_price_holds_from_its_date_on() -> None:
    dated = [ConditionalPrice(prices=OLD), ConditionalPrice(SINCE_MAY, prices=NEW)]
    assert prices_on(dated, date(2026, 4, 30)) == vars(OLD)
    assert prices_on(dated, date(2026, 5, 1)) == vars(NEW)


def test_before_every_date_the_first_price_holds() -> None:
    assert prices_on([ConditionalPrice(SINCE_MAY, prices=NEW)], date(2026, 1, 1)) == vars(NEW)


def test_a_price_by_the_hour_counts_at_its_dearest() -> None:
    hourly = [
        ConditionalPrice(prices=OLD),
        ConditionalPrice(SINCE_MAY, prices=NEW),
        ConditionalPrice(DAYTIME, prices=PEAK),
    ]
    assert prices_on(hourly, DAY) == vars(PEAK)
    assert prices_on([ConditionalPrice(DAYTIME, prices=PEAK), *hourly[:2]], DAY) == vars(NEW)  # superseded


def test_no_conditions_at_all_is_no_price() -> None:
    assert prices_on([], DAY) == {}

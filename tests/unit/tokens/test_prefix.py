from gateway.tokens.prefix import MEMORY, OFTEN, STEP_CHARS, Prefixes
from gateway.tokens.waste import Text

MANUAL = "".join(f"Rule {n}: be kind to customers. " for n in range(400))


def prompt(question: str, manual: str = MANUAL) -> list[Text]:
    return [Text("messages[0]", manual), Text("messages[1]", question)]


def test_a_long_beginning_that_many_prompts_share_is_counted_to_the_last_whole_step() -> None:
    prefixes = Prefixes()
    shared = [prefixes.shared(prompt(f"Question {n}?"), len) for n in range(OFTEN + 2)]
    assert shared == [0] * OFTEN + [len(MANUAL) // STEP_CHARS * STEP_CHARS] * 2


def test_a_date_in_the_first_line_shares_nothing() -> None:
    prefixes = Prefixes()
    assert not any(prefixes.shared(prompt("Why?", f"{n} o'clock. {MANUAL}"), len) for n in range(20))


def test_short_prompts_share_nothing_worth_caching() -> None:
    prefixes = Prefixes()
    assert not any(prefixes.shared([Text("m", "Be kind. Hello.")], len) for _ in range(20))


def test_what_is_remembered_is_bounded() -> None:
    prefixes = Prefixes()
    for n in range(3 * MEMORY):
        prefixes.shared(prompt("Why?", f"{n} {MANUAL}"), len)
    assert len(prefixes._seen) == MEMORY

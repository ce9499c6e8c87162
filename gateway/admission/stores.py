"""Where limits and budgets are kept: in this process, or in Redis. The same arithmetic behind one Protocol.

A *grant* is what one request holds: tokens and nano-dollars reserved on the counters of its budgets,
tokens taken from its rates, a slot of each limit on concurrency. It is open until it is settled, or
until its lease ends unrenewed; then it is lost, and charged what was known of its use.

    admit ──► open ── settle ──► (forgotten)
                │
                └── lease ends ──► lost ── settle, late ──► closed: charged the true use after all

Each method is one step: no other process sees half of it.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gateway.admission.plan import Account, Plan
from gateway.value import value

if TYPE_CHECKING:  # redis takes 0.3 s to load
    from gateway.kv import Kv


class Verdict(IntEnum):
    ADMITTED = 0
    REFUSED = 1
    CHEAP = 2
    """Past a soft budget: refused as it is, to be asked again for the cheap tier."""
    CLOSED = 3
    """Its id was settled before: this came too late."""
    EMPTY = 4
    """The store is new, or has forgotten everything: to be told by `restore` what was known, and asked again."""


class Ask(NamedTuple):
    """What a request wants. `tokens` and `nanousd` are the worst case, the prompt's are part of them."""

    plan: Plan
    id: str
    """Of the grant to open; empty where nothing is to be settled later, and then no slot is taken either."""
    lease_ms: int
    tokens: int
    nanousd: int
    prompt_tokens: int
    prompt_nanousd: int
    may_be_cheap: bool = False


class Answer(NamedTuple):
    now_ms: int
    """By the clock of whoever keeps the state."""
    verdict: Verdict
    levels: Sequence[int]
    """How full each limit of the plan is, in its order: ticks of a rate, slots held, tokens or nano-dollars settled
    and reserved. After it was taken, or before it was refused; nothing when CLOSED or EMPTY."""


@value
class Closing:
    """The end of a grant: what it used."""

    id: str
    tokens: int
    nanousd: int
    unsure: Plan | None = None
    """Given where it is not known whether the grant was ever opened: if it was not, its use is charged all the same,
    and it can no longer be."""


@value
class Lost:
    """Leases that ended unrenewed, and what they were charged."""

    grants: int = 0
    tokens: int = 0
    nanousd: int = 0

    def __add__(self, other: "Lost") -> "Lost":
        return Lost(self.grants + other.grants, self.tokens + other.tokens, self.nanousd + other.nanousd)


@value
class Balance:
    """An account in its present period, in nano-dollars or tokens; `lost` is the part of `settled` that lost grants
    were charged."""

    settled: int
    reserved: int
    lost: int
    lost_grants: int


@value
class Swept:
    lost: Lost
    epoch: int
    """Changes when the store has forgotten everything; 0 until it is restored."""


Known = Mapping[str, tuple[int, int]]
"""Account → what was settled and reserved when last heard of, and when that was, in milliseconds."""


class AdmissionStore(Protocol):
    """Raises StoreUnavailable when it cannot tell; whoever asks decides whether that lets a request pass."""

    async def admit(self, ask: Ask) -> Answer:
        """Take all that `ask` wants, or nothing."""
        ...

    async def settle(self, closings: Sequence[Closing]) -> None:
        """Charge each grant what it used and give the rest back. Whatever is not open is left as it is, so this may
        be repeated."""
        ...

    async def renew(self, uses: Sequence[tuple[str, int, int]], lease_ms: int) -> set[str]:
        """Grants by id, with the tokens and nano-dollars used so far; returns the ids that are no longer open."""
        ...

    async def sweep(self, beat_ms: int) -> Swept:
        """End the leases that were not renewed, and delete what is over. To be called every `beat_ms`: after a gap,
        or a clock set back, it waits two beats for renewals before it ends any."""
        ...

    async def restore(self, known: Known) -> int:
        """Have at least this much settled on each account, as far as it is of the present period; returns the epoch."""
        ...

    async def read(self, accounts: Sequence[Account]) -> tuple[int, list[Balance]]:
        """The time in milliseconds, and each account in its present period."""
        ...

    async def warning(self) -> str | None:
        """What is wrong with how the store is set up, for the log at the start."""
        ...


# ------------------------------------------------------------------ Redis

_SWEPT_AT_ONCE = 200
"""Grants ended by one run of the script, some 2 ms of the server's time."""


class RedisAdmissionStore:
    """Everything that processes share; needs Redis 7 or Valkey. The scripts are beside this file.

    `prefix` holds a hash tag, so that all keys live in one slot of a cluster. `clock` is the Lua that
    tells the time, `now_ms()`: the server's own, but in tests.
    """

    def __init__(self, kv: "Kv", *, prefix: str = "gw:{admission}", clock: str | None = None) -> None:
        from gateway.kv import Script

        def script(name: str) -> Script:
            # allow-oom: what is kept is small and bounded, and a full server is no reason to stop counting
            parts = ("#!lua flags=allow-oom", clock or _lua("redis_time"), _lua("shared"), _lua(name))
            return Script(name, "\n".join(parts))

        self._kv = kv
        self._prefix = prefix
        self._admit, self._settle, self._renew = script("admit"), script("settle"), script("renew")
        self._sweep, self._restore, self._read = script("sweep"), script("restore"), script("read")

    async def admit(self, ask: Ask) -> Answer:
        request = (
            f"{ask.id or '-'} {ask.lease_ms} {ask.tokens} {ask.nanousd} {ask.prompt_tokens} {ask.prompt_nanousd} "
            f"{ask.may_be_cheap:d}"
        )
        answer = await self._kv.run(self._admit, self._prefix, ask.plan.text, request)
        assert isinstance(answer, bytes)
        now_ms, verdict, *levels = map(int, answer.split())
        return Answer(now_ms, Verdict(verdict), levels)

    async def settle(self, closings: Sequence[Closing]) -> None:
        lines = (
            f"{each.id} {each.tokens} {each.nanousd} {'' if each.unsure is None else each.unsure.budgets}"
            for each in closings
        )
        await self._kv.run(self._settle, self._prefix, "\n".join(lines))

    async def renew(self, uses: Sequence[tuple[str, int, int]], lease_ms: int) -> set[str]:
        args = [value for use in uses for value in use]
        gone = await self._kv.run(self._renew, self._prefix, lease_ms, *args)
        assert isinstance(gone, list)
        return {name.decode() for name in gone}

    async def sweep(self, beat_ms: int) -> Swept:
        lost = Lost()
        while True:
            found = await self._kv.run(self._sweep, self._prefix, beat_ms, _SWEPT_AT_ONCE)
            assert isinstance(found, list)
            epoch, *numbers = found
            lost += Lost(*numbers)
            if numbers[0] < _SWEPT_AT_ONCE:
                return Swept(lost, epoch)

    async def restore(self, known: Known) -> int:
        args = [value for account, (level, at_ms) in known.items() for value in (account, level, at_ms)]
        epoch = await self._kv.run(self._restore, self._prefix, *args)
        assert isinstance(epoch, int)
        return epoch

    async def read(self, accounts: Sequence[Account]) -> tuple[int, list[Balance]]:
        found = await self._kv.run(self._read, self._prefix, *(account.name for account in accounts))
        assert isinstance(found, list)
        now_ms, *numbers = found
        return now_ms, [Balance(*numbers[at : at + 4]) for at in range(0, len(numbers), 4)]

    async def warning(self) -> str | None:
        policy = str((await self._kv.info("memory")).get("maxmemory_policy", ""))
        if not policy.startswith("allkeys"):
            return None
        return (
            f"the store's maxmemory-policy is {policy}: when its memory is full, it forgets budgets and what was spent "
            "of them. Set it to volatile-lru, which evicts cached answers only."
        )


def _lua(name: str) -> str:
    return Path(__file__).with_name(f"{name}.lua").read_text()

"""Every table of the SQL database, for migrations, reports and whoever wants to query it.

Not for serving processes, which write fixed statements (`sql` says why). A change here needs a migration beside
it; a test compares what the migrations make, on SQLite and on Postgres, with what stands here.

Times are integers of milliseconds since 1970, since SQLite has no type for them; money is integer nano-dollars.
"""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, Table, Text, text

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

# ------------------------------------------------------------------ the ledger

_WITH_PROMPT = text("prompt IS NOT NULL")
"""Feedback names its request by id alone; requests that no prompt was rendered for need no place in the index."""

ledger = Table(
    "ledger",
    metadata,
    Column("at_ms", BigInteger, primary_key=True, doc="arrival"),
    Column("writer", BigInteger, primary_key=True, doc="ledger_writers.id"),
    Column("seq", BigInteger, primary_key=True, doc="counts what this writer took in"),
    Column("request_id", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("route", Text),
    Column("key_name", Text),
    Column("team", Text),
    Column("tier", Text),
    Column("reason", Text, doc="of the decision"),
    Column("probability", Float, doc="that the expensive tier is needed, where the classifier was asked"),
    Column("target", Text, doc="upstream/model that answered, now or when the cache entry was made"),
    Column("compare_with", Text, doc="upstream/model that a saving by tier is measured against"),
    Column("is_stream", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("is_success", Boolean, nullable=False),
    Column("is_lost", Boolean, nullable=False, doc="a reservation whose process ended; cost is what it was charged"),
    Column("rejected", Text),
    Column("error", Text),
    Column("finish_reason", Text),
    Column("cache", Text, doc="hit, coalesced, stale, miss, bypass"),
    Column("cache_detail", Text),
    Column("cache_key", BigInteger, doc="64 bits of a hash; equal requests of one sharing scope have equal ones"),
    Column("attempts", Integer, nullable=False),
    Column("counted_tokens", BigInteger, doc="of the prompt as sent on"),
    Column("dropped_tokens", BigInteger, nullable=False),
    Column("trimmed_tokens", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, doc="all of them; the next three are parts of it"),
    Column("cached_input_tokens", BigInteger),
    Column("cache_write_tokens", BigInteger),
    Column("audio_input_tokens", BigInteger),
    Column("output_tokens", BigInteger, doc="all of them; the next two are parts of it"),
    Column("reasoning_tokens", BigInteger),
    Column("audio_output_tokens", BigInteger),
    Column("service_tier", Text, doc="flex, priority, …, where the upstream named one"),
    Column("is_estimated", Boolean, nullable=False, doc="tokens are our count, not the upstream's report"),
    Column("cost_nanousd", BigInteger, doc="null where nothing was spent or no price is known"),
    Column("cost_source", Text, doc="reported, computed, estimated"),
    Column("price_unknown", Boolean, nullable=False),
    Column("saved_cache_nanousd", BigInteger, nullable=False),
    Column("saved_coalesced_nanousd", BigInteger, nullable=False),
    Column("saved_tier_nanousd", BigInteger, nullable=False),
    Column("saved_trim_nanousd", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("upstream_us", BigInteger, nullable=False),
    Column("first_byte_us", BigInteger),
    Column("prompt", Text, doc="name of the registry's prompt that it was made from"),
    Column("prompt_version", Integer),
    Column("prompt_label", Text, doc="the label that was asked for; null where the version was"),
    Index("ledger_prompt_idx", "request_id", sqlite_where=_WITH_PROMPT, postgresql_where=_WITH_PROMPT),
    postgresql_partition_by="RANGE (at_ms)",
    sqlite_with_rowid=False,  # stored in the order of time, without an index beside it
)

ledger_attempts = Table(
    "ledger_attempts",
    metadata,
    Column("at_ms", BigInteger, primary_key=True, doc="of the request, like writer and seq"),
    Column("writer", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("number", Integer, primary_key=True, doc="from 1"),
    Column("target", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    postgresql_partition_by="RANGE (at_ms)",
    sqlite_with_rowid=False,
)

ledger_writers = Table(
    "ledger_writers",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False, doc="when it last wrote; what it served later may be missing"),
    Column("closed_ms", BigInteger, doc="null while it runs, and for ever where it was killed"),
    Column("taken", BigInteger, nullable=False, doc="requests it was told of"),
    Column("dropped", BigInteger, nullable=False, doc="of these, not written: its queue was full"),
)

# ------------------------------------------------------------------ keys issued at run time

issued_keys = Table(
    "issued_keys",
    metadata,
    Column("name", Text, primary_key=True, doc="used once: a revoked key is kept"),
    Column("team", Text),
    Column("issuer", Text, doc="name of the key that it was issued under"),
    Column("settings", Text, nullable=False, doc="what it may do and spend, as JSON: IssuedKey in config/model.py"),
    Column("digest", Text, nullable=False, unique=True, doc="SHA-256 of its secret, in hex"),
    Column("old_digest", Text, doc="of the secret before the last rotation"),
    Column("old_until_ms", BigInteger, doc="until when that is good"),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    Column("changed", BigInteger, nullable=False, doc="issued_keys_version.version of its last change"),
)

issued_keys_version = Table(
    "issued_keys_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="1: there is one row"),
    Column("version", BigInteger, nullable=False, doc="counts changes, for whoever looks for them"),
)

# ------------------------------------------------------------------ what the router learns from

router_samples = Table(
    "router_samples",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("key_name", Text, nullable=False, doc="who asked: feedback counts from nobody else"),
    Column("route", Text, nullable=False),
    Column("tier", Text, nullable=False, doc="where it went"),
    Column("probability", Float, nullable=False, doc="as the classifier of that time had it"),
    Column("propensity", Float, doc="chance that it went there, where chance decided; else null"),
    Column("features", Text, nullable=False, doc="what the classifier saw, as JSON: routing/samples.py"),
    Column("text", Text, doc="the question itself, where the operator has it kept"),
)

router_outcomes = Table(
    "router_outcomes",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("judge", Text, nullable=False),
    Column("weak", Float, nullable=False, doc="how the cheap tier did, 0 to 1"),
    Column("strong", Float, nullable=False, doc="how the expensive tier did, 0 to 1"),
)

router_feedback = Table(
    "router_feedback",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("key_name", Text, primary_key=True, doc="who says so"),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("score", Float, nullable=False, doc="-1 to 1"),
    Column("comment", Text),
)

# ------------------------------------------------------------------ what clients thought of a prompt's answers

prompt_feedback = Table(
    "prompt_feedback",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("key_name", Text, primary_key=True, doc="who asked, and says so"),
    Column("at_ms", BigInteger, nullable=False, index=True, doc="when it was said last"),
    Column("answered_ms", BigInteger, nullable=False, doc="the request's ledger.at_ms"),
    Column("prompt", Text, nullable=False),
    Column("prompt_version", Integer, nullable=False),
    Column("score", Float, nullable=False, doc="-1 to 1"),
    Column("comment", Text),
    Index("prompt_feedback_prompt_idx", "prompt", "answered_ms"),
)

# ------------------------------------------------------------------ prompts

prompts = Table(
    "prompts",
    metadata,
    Column("id", Text, primary_key=True, doc="pmpt_…"),
    Column("name", Text, nullable=False, unique=True),
    Column("newest", Integer, nullable=False, doc="number of the last version; there are no gaps before it"),
    Column("bytes", BigInteger, nullable=False, doc="of all its documents"),
    Column("created_ms", BigInteger, nullable=False),
    Column("archived_ms", BigInteger, doc="null while it is served"),
    Column("changed", BigInteger, nullable=False, doc="prompts_version.version of the last change of any of its parts"),
)

prompt_versions = Table(
    "prompt_versions",
    metadata,
    Column("prompt_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, doc="from 1"),
    Column("digest", Text, nullable=False, doc="SHA-256 of the document, in hex"),
    Column("author", Text, nullable=False, doc="as the one who pushed it says"),
    Column("created_ms", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("document", Text, nullable=False, doc="JSON: PromptDocument in prompts/document.py; never changed"),
    Index("prompt_versions_changed_idx", "changed", "prompt_id", "number"),
)

prompt_labels = Table(
    "prompt_labels",
    metadata,
    Column("prompt_id", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("arms", Text, nullable=False, doc="versions with their weights, as JSON: [[3, 9], [4, 1]]"),
    Column("sticky_by", Text, doc="user or conversation, while there is more than one arm"),
    Column("since", BigInteger, nullable=False, doc="prompt_audit.seq of the change that first made it so"),
    Column("changed", BigInteger, nullable=False),
)

prompt_shadow = Table(
    "prompt_shadow",
    metadata,
    Column("prompt_id", Text, primary_key=True),
    Column("shadow", Text, doc="JSON: Shadow in prompts/document.py; null where it was stopped"),
    Column("changed", BigInteger, nullable=False),
)

prompt_audit = Table(
    "prompt_audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, doc="prompts_version.version that it made"),
    Column("at_ms", BigInteger, nullable=False),
    Column("prompt_id", Text, nullable=False, index=True),
    Column("author", Text, nullable=False),
    Column("action", Text, nullable=False, doc="push, activate, split, stop, rollback, shadow, archive, restore"),
    Column("label", Text, doc="where it was a label that changed"),
    Column("before", Text, doc="what stood there, as JSON; null: nothing"),
    Column("after", Text, doc="what stands there since, as JSON"),
)

prompts_version = Table(
    "prompts_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, doc="1: there is one row"),
    Column("version", BigInteger, nullable=False, doc="counts changes, for whoever looks for them"),
)

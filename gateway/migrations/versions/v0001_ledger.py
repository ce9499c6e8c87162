"""The ledger: requests, their attempts, and the processes that write them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BY_TIME: dict[str, Any] = {"postgresql_partition_by": "RANGE (at_ms)", "sqlite_with_rowid": False}


def upgrade() -> None:
    op.create_table(
        "ledger",
        sa.Column("at_ms", sa.BigInteger, primary_key=True),
        sa.Column("writer", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("route", sa.Text),
        sa.Column("key_name", sa.Text),
        sa.Column("team", sa.Text),
        sa.Column("tier", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("probability", sa.Float),
        sa.Column("target", sa.Text),
        sa.Column("compare_with", sa.Text),
        sa.Column("is_stream", sa.Boolean, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("is_success", sa.Boolean, nullable=False),
        sa.Column("is_lost", sa.Boolean, nullable=False),
        sa.Column("rejected", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("cache", sa.Text),
        sa.Column("cache_detail", sa.Text),
        sa.Column("cache_key", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("counted_tokens", sa.BigInteger),
        sa.Column("dropped_tokens", sa.BigInteger, nullable=False),
        sa.Column("trimmed_tokens", sa.BigInteger, nullable=False),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("cached_input_tokens", sa.BigInteger),
        sa.Column("cache_write_tokens", sa.BigInteger),
        sa.Column("audio_input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("audio_output_tokens", sa.BigInteger),
        sa.Column("service_tier", sa.Text),
        sa.Column("is_estimated", sa.Boolean, nullable=False),
        sa.Column("cost_nanousd", sa.BigInteger),
        sa.Column("cost_source", sa.Text),
        sa.Column("price_unknown", sa.Boolean, nullable=False),
        sa.Column("saved_cache_nanousd", sa.BigInteger, nullable=False),
        sa.Column("saved_coalesced_nanousd", sa.BigInteger, nullable=False),
        sa.Column("saved_tier_nanousd", sa.BigInteger, nullable=False),
        sa.Column("saved_trim_nanousd", sa.BigInteger, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        sa.Column("upstream_us", sa.BigInteger, nullable=False),
        sa.Column("first_byte_us", sa.BigInteger),
        **_BY_TIME,
    )
    op.create_table(
        "ledger_attempts",
        sa.Column("at_ms", sa.BigInteger, primary_key=True),
        sa.Column("writer", sa.BigInteger, primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("duration_us", sa.BigInteger, nullable=False),
        **_BY_TIME,
    )
    op.create_table(
        "ledger_writers",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("closed_ms", sa.BigInteger),
        sa.Column("taken", sa.BigInteger, nullable=False),
        sa.Column("dropped", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Months get partitions of their own in time; what comes before or after them still has a place.
        op.execute("CREATE TABLE ledger_rest PARTITION OF ledger DEFAULT")
        op.execute("CREATE TABLE ledger_attempts_rest PARTITION OF ledger_attempts DEFAULT")


def downgrade() -> None:
    op.drop_table("ledger_writers")
    op.drop_table("ledger_attempts")
    op.drop_table("ledger")

"""Which version of a prompt a request was made from, and what clients thought of its answer."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_WITH_PROMPT = sa.text("prompt IS NOT NULL")


def upgrade() -> None:
    # Column by column: alembic's batch mode would make a large table anew for what SQLite adds in no time.
    op.add_column("ledger", sa.Column("prompt", sa.Text))
    op.add_column("ledger", sa.Column("prompt_version", sa.Integer))
    op.add_column("ledger", sa.Column("prompt_label", sa.Text))
    op.create_index(
        "ledger_prompt_idx", "ledger", ["request_id"], sqlite_where=_WITH_PROMPT, postgresql_where=_WITH_PROMPT
    )
    op.create_table(
        "prompt_feedback",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("key_name", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("answered_ms", sa.BigInteger, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("prompt_version", sa.Integer, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("comment", sa.Text),
    )
    op.create_index("prompt_feedback_prompt_idx", "prompt_feedback", ["prompt", "answered_ms"])


def downgrade() -> None:
    op.drop_table("prompt_feedback")
    op.drop_index("ledger_prompt_idx", "ledger")
    for column in ("prompt_label", "prompt_version", "prompt"):
        op.drop_column("ledger", column)

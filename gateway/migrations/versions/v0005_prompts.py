"""Prompts with their versions and labels, who changed what, and a counter that says when something has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "prompts",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("newest", sa.Integer, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("archived_ms", sa.BigInteger),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", name="prompts_name_key"),
    )
    op.create_table(
        "prompt_versions",
        sa.Column("prompt_id", sa.Text, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("prompt_versions_changed_idx", "prompt_versions", ["changed", "prompt_id", "number"])
    op.create_table(
        "prompt_labels",
        sa.Column("prompt_id", sa.Text, primary_key=True),
        sa.Column("label", sa.Text, primary_key=True),
        sa.Column("arms", sa.Text, nullable=False),
        sa.Column("sticky_by", sa.Text),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "prompt_shadow",
        sa.Column("prompt_id", sa.Text, primary_key=True),
        sa.Column("shadow", sa.Text),
        sa.Column("changed", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "prompt_audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("prompt_id", sa.Text, nullable=False, index=True),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("label", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
    )
    counter = op.create_table(
        "prompts_version",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counter, [{"id": 1, "version": 0}])


def downgrade() -> None:
    for table in ("prompts_version", "prompt_audit", "prompt_shadow", "prompt_labels", "prompt_versions", "prompts"):
        op.drop_table(table)

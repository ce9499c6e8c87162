"""What the classifier learns from: questions as it saw them, outcomes of both tiers, and what clients thought."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "router_samples",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("key_name", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("tier", sa.Text, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("propensity", sa.Float),
        sa.Column("features", sa.Text, nullable=False),
        sa.Column("text", sa.Text),
    )
    op.create_table(
        "router_outcomes",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("judge", sa.Text, nullable=False),
        sa.Column("weak", sa.Float, nullable=False),
        sa.Column("strong", sa.Float, nullable=False),
    )
    op.create_table(
        "router_feedback",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("key_name", sa.Text, primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False, index=True),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("comment", sa.Text),
    )


def downgrade() -> None:
    op.drop_table("router_feedback")
    op.drop_table("router_outcomes")
    op.drop_table("router_samples")

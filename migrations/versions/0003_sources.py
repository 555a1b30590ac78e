"""Where a model was fetched from, what it takes and gives, and which farm this is."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("source", sa.String(), nullable=True))
    op.add_column(
        "models", sa.Column("ports", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True)
    )
    op.create_table(
        "farm",
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_farm")),
    )


def downgrade() -> None:
    op.drop_table("farm")
    op.drop_column("models", "ports")
    op.drop_column("models", "source")

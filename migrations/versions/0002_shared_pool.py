"""The shared pool: budgets, roles, cordons, avoided nodes, named submits, quarantine, touched blobs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROLE = sa.Enum("member", "operator", name="role", native_enum=False, length=20)


def upgrade() -> None:
    op.add_column("teams", sa.Column("budget_s", sa.Float(), nullable=True))
    op.add_column("shares", sa.Column("used_s", sa.Float(), nullable=False, server_default=sa.text("0")))
    op.add_column("nodes", sa.Column("cordoned", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("nodes", sa.Column("steps", sa.String(), nullable=False, server_default=""))
    op.add_column("steps", sa.Column("avoid_node", sa.Uuid(), nullable=True))
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.alter_column("role", existing_type=sa.String(), type_=ROLE, existing_nullable=False)
    op.create_table(
        "submissions",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("body_digest", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_submissions_job_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_submissions_team_id")),
        sa.PrimaryKeyConstraint("team_id", "key", name=op.f("pk_submissions")),
    )
    op.create_table(
        "quarantine",
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_quarantine_job_id")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name=op.f("fk_quarantine_team_id")),
        sa.PrimaryKeyConstraint("team_id", "fingerprint", name=op.f("pk_quarantine")),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("touched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )
    op.execute(
        "INSERT INTO blobs (digest, size, touched_at) "
        "SELECT digest, max(size), max(created_at) FROM holdings GROUP BY digest"
    )


def downgrade() -> None:
    op.drop_table("blobs")
    op.drop_table("quarantine")
    op.drop_table("submissions")
    with op.batch_alter_table("api_keys") as batch_op:
        batch_op.alter_column("role", existing_type=ROLE, type_=sa.String(), existing_nullable=False)
    op.drop_column("steps", "avoid_node")
    op.drop_column("nodes", "steps")
    op.drop_column("nodes", "cordoned")
    op.drop_column("shares", "used_s")
    op.drop_column("teams", "budget_s")

"""Run by Alembic: migrates over the connection that catalog.migrate hands it."""

from alembic import context

from pipeline.catalog.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller's transaction holds it all
)
context.run_migrations()

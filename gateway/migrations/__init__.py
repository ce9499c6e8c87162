"""The database's tables, version by version: alembic's scripts, run by the gateway itself.

A serving process starts `python -m gateway.migrations` where the tables are behind (`sql`); offline commands call
`upgrade`. However many do so at once, one moves the tables and the others find them moved.
"""

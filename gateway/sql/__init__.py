"""The one SQL database, SQLite or Postgres, as a serving process uses it: a few fixed statements over a bare driver.

SQLAlchemy describes the tables (`tables.py`), makes and moves them (`migrations/`), and asks what
reports ask. It is not loaded here, nor by anything that serves: it takes a second of CPU to import and
25 MB, a fifth of a worker. So statements here are text; one dialect serves both engines: `$1`, `$2`
for parameters, `ON CONFLICT`, integers, text and booleans.

Tables of yours: describe them in `tables.py`, add `migrations/versions/vNNNN_what.py` after the last
one there, and read and write through `Database.fetch` and `Database.write`. The tables are brought up to
date when a database is first used, by a process of its own that ends thereafter.

When the database is away, slow, locked or full, every call raises `DatabaseUnavailable` within its time-out,
and the next call starts afresh. Nothing here retries: whoever calls knows what may wait.
"""

from gateway.sql.database import Database, newest_version
from gateway.sql.driver import Batch, NoTable, Row

__all__ = ["Batch", "Database", "NoTable", "Row", "newest_version"]

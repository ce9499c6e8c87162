"""`python -m gateway.migrations`: bring the database named on stdin up to date."""

import sys

from sqlalchemy.exc import SQLAlchemyError

from gateway.migrations.upgrade import upgrade


def main() -> None:
    try:
        upgrade(sys.stdin.read().strip())
    except (OSError, SQLAlchemyError) as error:
        # The driver's own words: SQLAlchemy's would quote statements and, of a wrong URL, the URL.
        sys.exit(str(getattr(error, "orig", None) or type(error).__name__))


if __name__ == "__main__":
    main()

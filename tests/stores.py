"""A store that tests share."""

from sqlalchemy import text


def emptied(store):
    """Take everything out of a store: opening a new one for each example would be slow."""
    with store._writer.begin() as connection:
        connection.execute(text("DELETE FROM responses"))
    return store

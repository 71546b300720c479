"""How the store's tables came to be, step by step (Alembic); `data.store_engine` runs what is missing."""

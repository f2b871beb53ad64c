"""How the tables of a journal came to be, a file for each change; Alembic runs them in order."""

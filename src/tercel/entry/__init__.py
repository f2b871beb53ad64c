"""Where users come in: the command line, later the API. Thin."""

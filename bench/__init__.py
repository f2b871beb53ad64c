"""How fast Tercel is, and how fast its peers are at the same work: `python -m bench`."""

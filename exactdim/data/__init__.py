"""The small network that ``exactdim demo`` uses."""

"""Text <-> mathematics: formulas, programs, derivatives. Knows no data."""

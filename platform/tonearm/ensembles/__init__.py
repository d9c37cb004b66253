"""Ensembles: predictions combined, members selected, all saved as one bundle."""

"""What a job or a notebook calls: plain functions with typed arguments and results. Nothing is printed here."""

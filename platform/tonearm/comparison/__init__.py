"""Which is better, by how much, how surely: candidates, paired tests, plots and a report. No Ray."""

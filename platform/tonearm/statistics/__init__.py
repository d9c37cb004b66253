"""Statistics of scores: intervals, tests, differences, agreement, calibration. NumPy and SciPy alone."""

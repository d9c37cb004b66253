"""What the GPU paths give and how fast they are: ``make gpu``, or ``python -m tests.gpu``.

For a machine that has torch, NumPy and SciPy and perhaps nothing else: no pytest, no Ray, no data.
"""

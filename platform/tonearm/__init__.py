"""Tonearm: content-based music classification and recommendation.

The way the data goes, one direction only::

    manifest rows     datasets --+
    bytes   audio --> features --+-> pipelines --> training --> ensembles --+
                      models, tasks ------------------^   +--> recommend ---+-> inference --> serve
                                       sweeps drives training; tracking records it
"""

__version__ = "0.1.0"

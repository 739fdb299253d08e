"""``pyeno bench``: pyeno beside what one would pick instead, on this machine.

``rounds.py`` runs ``scenarios.py`` on every transport (``transports.py``,
``loops.py``) in turn, each run in two processes of its own (``pairs.py``);
``stages.py`` runs the stages, compiled and pure; ``report.py`` reduces it all to
one document, ``table.py`` prints that.
"""

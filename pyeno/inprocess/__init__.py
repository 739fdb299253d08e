"""Python programs that encrypt without knowing it, with no relay between.

:func:`launch` becomes the program, in whose start-up ``site/sitecustomize.py``
has :mod:`install` make the standard library's sockets those of ``sock.py``.
``link.py`` and ``waiting.py`` keep select() truthful, ``layered.py`` puts TLS on
top, ``loops.py`` is for asyncio.
"""

from pyeno.inprocess.launch import launch
from pyeno.inprocess.rules import Rules

__all__ = ["Rules", "launch"]

"""``python -m pyeno``: the same as the ``pyeno`` command."""

import sys

from pyeno.cli import main

sys.exit(main())

"""`python -m pyraft_lab` is `pyraft-lab`."""

import sys

from pyraft_lab.cli import main

sys.exit(main())

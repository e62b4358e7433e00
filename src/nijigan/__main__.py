"""Makes `python -m nijigan` the same as `nijigan`."""

import sys

from nijigan.cli import main

sys.exit(main())

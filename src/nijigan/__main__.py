"""`python -m nijigan` is `nijigan`."""

import sys

from nijigan.cli import main

sys.exit(main())

#!/usr/bin/env python3
"""Start kirogw from a checkout. Nothing else lives here: `import kirogw` finds the package, never this file."""
import sys

from kirogw.cli import main

if __name__ == "__main__":
    sys.exit(main())

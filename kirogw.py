#!/usr/bin/env python3
"""Start kirogw from a checkout. Nothing else lives here: `import kirogw` finds the package, never this file."""
import sys

try:
    from kirogw.cli import main
except ModuleNotFoundError as error:
    sys.exit(f"kirogw: {sys.executable} has no {error.name}; use .venv/bin/python, which `make venv` fills")

if __name__ == "__main__":
    sys.exit(main())

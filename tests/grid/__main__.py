"""Print the grid. `python -m tests.grid [SIDE...]`; what fails is told on standard error, and is the exit code."""

import sys

from tests.grid.sides import SIDES
from tests.grid.table import failures, grid, markdown

if __name__ == "__main__":
    found = grid(sys.argv[1:] or SIDES)
    sys.stdout.write(markdown(found))
    wrong = failures(found)
    print(*wrong, sep="\n", file=sys.stderr, end="\n" if wrong else "")
    sys.exit(bool(wrong))

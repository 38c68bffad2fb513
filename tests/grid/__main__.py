"""Print the grid. `python -m tests.grid [SIDE...]`; what fails is told on standard error, and is the exit code."""

import sys

from tests.grid.sides import SIDES
from tests.grid.table import failures, grid, markdown

SHOWN, WIDTH = 20, 300  # a gateway that does not work at all fails in each cell

if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(SIDES):
        sys.exit(f"no such side: {', '.join(sorted(unknown))}; there are {', '.join(SIDES)}")
    found = grid(sys.argv[1:] or SIDES)
    sys.stdout.write(markdown(found))
    wrong = failures(found)
    for line in wrong[:SHOWN]:
        print(line[:WIDTH], file=sys.stderr)
    if len(wrong) > SHOWN:
        print(f"... and {len(wrong) - SHOWN} more", file=sys.stderr)
    sys.exit(bool(wrong))

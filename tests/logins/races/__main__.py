"""`python -m tests.logins.races`; apart from what it runs, so that the processes of the races need not load it."""

import sys

from tests.logins.races import main

if __name__ == "__main__":
    sys.exit(main())

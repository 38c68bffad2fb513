"""`python -m kirogw.twin`"""

from kirogw.twin.program import main

raise SystemExit(main())

"""What the tests of sign-ins share: a walk before a twin, one step after the other. The clock is ours."""

import json

from kirogw.errors import UpstreamFailed
from kirogw.logins.walk import Walk
from kirogw.logins.way import Flow
from tests.logins import support


class Walking:
    """`kept`: what was to be kept, and how; `slept`: the pauses; the next `broken` requests fail."""

    def __init__(self, twin, folder, clock, **more):
        self.twin, self.clock, self.kept, self.slept = twin, clock, [], []
        self.network, self.broken = support.Network(), 0
        self.settings = support.settings(twin, folder / "home")
        self.walk = Walk(self.settings, self.post, self.add, lambda: self.clock, self.slept.append, **more)

    def post(self, request):
        if self.broken:
            self.broken -= 1
            raise UpstreamFailed("the sign-in service can not be reached (reset); try again")
        return self.network(request)

    def add(self, credential, **more):
        self.kept.append((credential, more))
        return "account-1"

    def next(self, flow):
        """A poll at its time."""
        self.clock = max(self.clock, flow.next_at)
        return self.walk.poll(Flow.of(json.loads(json.dumps(flow.as_json()))))  # as it lies in a store

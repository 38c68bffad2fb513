"""Our errors, for the tests of what each API makes of them."""

from kirogw.errors import GatewayError


def below(cls):
    """The class and all that are made of it."""
    yield cls
    for inner in cls.__subclasses__():
        yield from below(inner)


OURS = {cls for cls in below(GatewayError) if cls.__module__ == "kirogw.errors"}

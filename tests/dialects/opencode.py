"""When OpenCode 1.18.33 asks again by the words of an error: measured on its program, which compares in lower case.

Three-digit numbers of statuses anywhere in the words count too; they are left out here, for ids may hold them.
"""

import re

WORDS = (
    r"rate increased too quickly", r"rate[ _-]limit", r"too many requests", r"overloaded", r"service[ _-]unavailable",
    r"internal[ _]error", r"internal server error", r"server[ _-]error", r"provider[ _-]returned[ _-]error", r"terminated",
    r"fetch failed", r"failed to fetch", r"network[-_\s]error", r"upstream connect",
    r"connection (error|refused|lost)", r"socket (connection was closed|hang up)", r"reset before headers",
    r"getaddrinfo|enotfound|eai_again|econnrefused|econnreset|etimedout",
    r"\b(request|response|connection|network|stream|read) (timeout|timed out|time out)\b",
    r"try your request again", r"retry your request", r"resource[ _]exhausted", r"\btry again (later|in\b)",
    r"\b(currently|temporarily) at capacity\b",
)  # fmt: skip
IN_BAND = ("too_many_requests", "exhausted", "unavailable")  # these count only inside a stream


def asks_again(words, in_band=True):
    words = words.lower()
    return any(re.search(pattern, words) for pattern in WORDS) or (in_band and any(word in words for word in IN_BAND))

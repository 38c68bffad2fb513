"""What several providers take together. All else of the gateway is tested over the whole road: tests/system."""

import pytest

from kirogw.dialects.provider import Documents
from kirogw.gateway import _common

PDF, OFFICE = Documents(frozenset({"application/pdf"}), 9, 2), Documents(frozenset({"application/pdf", "text/csv"}), 5, 10)


@pytest.mark.parametrize(("documents", "taken"), [
    ([PDF], PDF), ([PDF, OFFICE], Documents(frozenset({"application/pdf"}), 5, 2)), ([OFFICE, OFFICE], OFFICE),
])  # fmt: skip
def test_documents_go_as_files_where_all_take_them_so(documents, taken):
    assert _common(documents) == taken

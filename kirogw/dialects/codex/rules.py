"""What ChatGPT demands of a conversation, as rules in the order in which they are obeyed (codex 3, 5, 6).

A rule's name says what holds afterwards, its docstring why. It gives back the same object when there is nothing to do;
doing it twice changes nothing. It moves or rewords what the client sent; the few things that go are named with the
reason where they go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kirogw.conversation import Conversation
from kirogw.dialects import calls, cleaned, obey
from kirogw.dialects.codex import pairs, prompt, tools, turns
from kirogw.dialects.codex.shape import Terms

Rule: TypeAlias = Callable[[Conversation, Terms], Conversation]

RULES: Final[tuple[Rule, ...]] = (
    cleaned.all_text_is_clean,
    turns.the_system_text_is_stable,
    turns.pictures_are_what_they_say,
    turns.pictures_have_the_detail_that_the_form_takes,
    turns.documents_are_files_or_text,
    # who says what
    turns.parts_stand_with_who_may_say_them,
    turns.thoughts_are_sealed_by_this_account,
    turns.native_items_have_no_ids,
    # calls and results; first what looks at the client's own ids and names
    turns.cut_answers_are_told,
    calls.arguments_are_objects,
    calls.ids_are_plain,
    calls.ids_are_unique,
    pairs.results_follow_their_calls,
    pairs.every_call_is_answered,
    pairs.searches_for_tools_have_found_some,
    # the tools
    tools.lite_has_no_web_search,
    tools.only_allowed_tools_are_declared,
    tools.tools_are_unique,
    tools.tools_are_of_kinds_that_the_form_takes,
    tools.tool_names_fit,
    tools.schemas_are_acceptable,
    # what the model is told
    prompt.the_choice_is_told,
    obey.missing_server_tools_are_told,
    prompt.blocked_pages_are_told,
    prompt.json_is_spoken_of,
    prompt.the_format_is_an_object,
    turns.no_part_is_empty,
    turns.the_models_turns_are_whole,
    turns.thoughts_stand_before_what_they_made,
)

"""What Kiro demands of a conversation, as rules in the order in which they are obeyed. Kiro 3.6 to 3.10, 7 and 8.

A rule's name says what holds afterwards, its docstring why. It gives back the same object when there is nothing to do;
doing it twice changes nothing. It moves or rewords what the client sent and never drops it: what can neither be
carried nor said raises BadRequest. The few things that do go (a seal nobody believes, a line of billing data) are named
with the reason where they go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from kirogw.conversation import Conversation
from kirogw.dialects import calls, cleaned, obey
from kirogw.dialects.kiro import media, pairs, prompt, tools, turns
from kirogw.dialects.kiro.shape import Terms

Rule: TypeAlias = Callable[[Conversation, Terms], Conversation]

RULES: Final[tuple[Rule, ...]] = (
    # as the client sent it: paths in messages still fit
    turns.native_items_are_for_others,
    cleaned.all_text_is_clean,
    media.pictures_are_what_they_say,
    media.documents_are_files_or_text,
    prompt.the_system_text_is_stable,
    # who speaks when
    turns.parts_stand_with_who_may_say_them,
    turns.only_user_and_model_speak,
    turns.turns_alternate,
    turns.the_user_begins,
    turns.the_user_ends,
    turns.thoughts_are_sealed_by_this_model,
    media.there_are_ten_pictures_at_most,
    # calls and results; first what looks at the client's own ids and names
    turns.cut_answers_are_told,
    calls.arguments_are_objects,
    calls.ids_are_plain,
    calls.ids_are_unique,
    pairs.failed_results_say_so,
    pairs.every_result_says_something,
    pairs.results_stand_behind_their_calls,
    pairs.every_call_is_answered,
    # the tools
    tools.only_allowed_tools_are_declared,
    tools.tools_are_unique,
    pairs.without_tools_no_tool_turns,
    tools.tools_of_the_history_are_declared,
    tools.tool_names_fit,
    tools.schemas_are_acceptable,
    tools.every_tool_is_described,
    tools.long_descriptions_are_system_text,
    media.attachments_stand_beside_the_results,
    # what the model is told
    prompt.the_choice_is_told,
    prompt.the_format_is_told,
    obey.missing_server_tools_are_told,
    prompt.thinking_is_asked_for,
    prompt.the_system_text_begins_the_first_turn,
    turns.no_turn_is_empty,
)

"""Names of stacks in Feast."""

import re

from hypothesis import given
from hypothesis import strategies as st
from recstack_triton_templates.feast_names import project

NAMES = st.from_regex(r"[a-z0-9](-?[a-z0-9]){0,3}|[a-z0-9]-{1,3}[a-z0-9]", fullmatch=True)


@given(one=st.tuples(NAMES, NAMES), other=st.tuples(NAMES, NAMES))
def test_no_two_stacks_have_one_project(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (project(*one) == project(*other)) == (one == other)
    assert re.fullmatch("recstack_[a-z0-9_]+", project(*one))


def test_where_the_dash_is_counts() -> None:
    assert project("a", "b-c") == "recstack_a_b__c"
    assert project("a-b", "c") == "recstack_a__b_c"

from recstack_cli.changes import Change, changes, show


def test_a_leaf() -> None:
    before, after = {"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": 2}}
    assert list(changes(before, after)) == [Change("a.b", ("a", "b"), 1, 3)]


def test_a_part_that_one_side_lacks_is_one_change() -> None:
    before, after = {"source": {"synthetic": {"days": 1}}}, {"source": {"s3": {"bucket": "b", "region": "r"}}}
    assert list(changes(before, after)) == [
        Change("source.synthetic", ("source", "synthetic"), {"days": 1}, None),
        Change("source.s3", ("source", "s3"), None, {"bucket": "b", "region": "r"}),
    ]


def test_elements_are_told_apart_by_name() -> None:
    before = {"user": [{"name": "age", "column": "age"}, {"name": "city", "column": "c"}]}
    after = {"user": [{"name": "city", "column": "town"}, {"name": "sex", "column": "s"}]}
    assert [(one.path, one.keys, one.before, one.after) for one in changes(before, after)] == [
        ("user[age]", ("user",), {"name": "age", "column": "age"}, None),
        ("user[city]", ("user",), {"name": "city", "column": "c"}, {"name": "city", "column": "town"}),
        ("user[sex]", ("user",), None, {"name": "sex", "column": "s"}),
    ]


def test_an_order_is_a_change() -> None:
    one, two = {"name": "a"}, {"name": "b"}
    assert list(changes({"x": [one, two]}, {"x": [two, one]})) == [
        Change("x (order)", ("x",), ["a", "b"], ["b", "a"])
    ]


def test_plain_lists_are_values() -> None:
    assert list(changes({"top": [64, 32]}, {"top": [64]})) == [Change("top", ("top",), [64, 32], [64])]


def test_values_are_shown_in_one_line() -> None:
    assert [show(one) for one in (None, "a", True, [1, 2])] == ["(none)", "a", "true", "[1, 2]"]

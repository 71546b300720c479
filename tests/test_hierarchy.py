import numpy as np

from model.hierarchy import Hierarchy, ancestors, depth


def test_dots_spell_the_ancestors():
    assert ancestors("a.b.c") == ("a", "a.b")
    assert ancestors("a") == ()
    assert depth("a.b.c") == 3


def test_the_tree_holds_each_code_and_each_parent_once():
    tree = Hierarchy.of(["b.x", "a.y.z", "flat", "a.y.w", "b.x"])
    assert tree.codes == ("a.y.w", "a.y.z", "b.x", "flat")
    assert tree.parents == ("a", "a.y", "b")


def test_lifting_is_the_or_of_a_parents_codes_with_how_many_are_held():
    tree = Hierarchy.of(["a.y.w", "a.y.z", "b.x", "flat"])
    rows, parents, held = tree.lift(np.array([0, 0, 0, 1, 2]), np.array([0, 1, 2, 3, 1]))
    found = {(int(r), tree.parents[p]): int(h) for r, p, h in zip(rows, parents, held, strict=True)}
    assert found == {(0, "a"): 2, (0, "a.y"): 2, (0, "b"): 1, (2, "a"): 1, (2, "a.y"): 1}


def test_a_parent_that_is_tagged_itself_is_part_of_itself():
    tree = Hierarchy.of(["a", "a.b"])
    rows, parents, held = tree.lift(np.array([0, 0, 1]), np.array([0, 1, 0]))
    assert (rows.tolist(), parents.tolist(), held.tolist()) == ([0, 1], [0, 0], [2, 1])


def test_nothing_to_lift():
    none = np.empty(0, dtype=np.int64)
    assert all(part.size == 0 for part in Hierarchy.of([]).lift(none, none))
    assert all(part.size == 0 for part in Hierarchy.of(["a.b"]).lift(none, none))

"""Figures that were computed in two ways."""

import math


def assert_same(first, second, path=""):
    """Compare plain JSON values, floats to 1e-9."""
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        for key, value in first.items():
            assert_same(value, second[key], f"{path}.{key}")
    elif isinstance(first, list):
        assert len(first) == len(second), path
        for place, value in enumerate(first):
            assert_same(value, second[place], f"{path}.{place}")
    elif isinstance(first, float) and isinstance(second, float):
        assert math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-9), (path, first, second)
    else:
        assert first == second, path

"""Turns: as many at a time as there are seats, first come first served."""

import threading

import pytest

from model.turns import Turns


def test_who_came_first_goes_first():
    turns, order, begun = Turns([0]), [], []

    def work(number):
        with turns.take():
            order.append(number)

    with turns.take():
        for number in range(5):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            begun.append(thread)
            while len(turns._waiting) <= number:  # until it stands in the line
                threading.Event().wait(0.001)
    for thread in begun:
        thread.join(10)
    assert order == list(range(5))


def test_a_fault_gives_the_turn_back():
    turns = Turns([0])
    with pytest.raises(ValueError, match="broken"), turns.take():
        raise ValueError("broken")
    with turns.take():
        pass


def test_never_two_at_once():
    turns, inside, seen = Turns([0]), [], []

    def work():
        for _ in range(200):
            with turns.take():
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert seen == [1] * 800


def test_as_many_at_once_as_there_are_seats_each_with_its_own():
    turns, both, held = Turns("ab"), threading.Barrier(2), []

    def work():
        with turns.take() as seat:
            held.append(seat)
            both.wait(30)  # which two of them must reach at the same time

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(held) == list("aaabbb")

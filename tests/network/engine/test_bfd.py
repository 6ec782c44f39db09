"""What a BFD session makes of what it hears (RFC 5880, 6.8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.network.engine.linux.bfd import (
    ADMINISTRATIVE,
    EXPIRED,
    NEIGHBOUR_DOWN,
    Control,
    Session,
    State,
    parse,
)

NUMBERS = st.integers(0, (1 << 32) - 1)


def exchange(one: Session, two: Session, turns: int = 3) -> None:
    for _ in range(turns):
        for speaker, hearer in ((one, two), (two, one)):
            heard = parse(speaker.say().packed())
            assert heard is not None
            hearer.hear(heard)


def test_both_come_up_and_one_that_falls_silent_goes_down():
    one, two = Session(), Session()
    assert (one.state, one.say().yours) == (State.DOWN, 0)
    exchange(one, two)
    assert one.state is two.state is State.UP
    assert (one.theirs, two.theirs) == (two.mine, one.mine)
    assert one.silence == 5.0, "five packets of a second each"
    one.expire()
    assert (one.state, one.diagnostic, one.say().yours) == (State.DOWN, EXPIRED, 0)
    two.hear(one.say())
    assert (two.state, two.diagnostic) == (State.DOWN, NEIGHBOUR_DOWN)
    exchange(one, two)
    assert one.state is two.state is State.UP and one.diagnostic == two.diagnostic == 0


def test_one_that_was_put_out_of_use():
    one, two = Session(), Session()
    exchange(one, two)
    one.state, one.diagnostic = State.ADMIN_DOWN, ADMINISTRATIVE
    exchange(one, two)
    assert (one.state, two.state, two.diagnostic) == (State.ADMIN_DOWN, State.DOWN, NEIGHBOUR_DOWN)


@pytest.mark.parametrize(("before", "heard", "after"), [
    ("DOWN", "DOWN", "INIT"), ("DOWN", "INIT", "UP"), ("DOWN", "UP", "DOWN"), ("DOWN", "ADMIN_DOWN", "DOWN"),
    ("INIT", "DOWN", "INIT"), ("INIT", "INIT", "UP"), ("INIT", "UP", "UP"), ("INIT", "ADMIN_DOWN", "DOWN"),
    ("UP", "DOWN", "DOWN"), ("UP", "INIT", "UP"), ("UP", "UP", "UP"), ("UP", "ADMIN_DOWN", "DOWN"),
])
def test_states(before: str, heard: str, after: str):
    session = Session()
    session.state = State[before]
    session.hear(Control(state=State[heard], mine=7, yours=session.mine))
    assert session.state is State[after]


def test_the_pace_is_that_of_the_slower_side():
    session = Session()
    session.hear(Control(state=State.DOWN, mine=7, multiplier=3, sends=10_000_000, takes=4_000_000))
    assert session.silence == 30.0
    assert 3.0 <= session.pause <= 4.0
    session.hear(Control(state=State.DOWN, mine=7, takes=300_000))
    assert 0.75 <= session.pause <= 1.0


@given(st.builds(Control, state=st.sampled_from(State), mine=NUMBERS, yours=NUMBERS, diagnostic=st.integers(0, 31),
                 flags=st.sampled_from((0, 0x20, 0x10)), multiplier=st.integers(0, 255), sends=NUMBERS, takes=NUMBERS))
def test_packets(said: Control):
    fine = said.mine and said.multiplier and (said.yours or said.state <= State.DOWN)
    assert parse(said.packed()) == (said if fine else None)
    assert parse(said.packed()[:23]) is None


@given(st.binary(max_size=60))
def test_whatever_comes_is_packet_or_nothing(data):
    heard = parse(data)
    assert heard is None or parse(heard.packed()) == heard


@pytest.mark.parametrize(("place", "value"), [(0, 0x00), (0, 0x40), (1, 0x44), (1, 0x41), (2, 0), (3, 23), (3, 25)])
def test_what_is_not_answered(place: int, value: int):
    """Other versions, authenticated, multipoint, no multiplier, lengths that are not so."""
    packet = bytearray(Control(state=State.DOWN, mine=1).packed())
    packet[place] = value
    assert parse(bytes(packet)) is None

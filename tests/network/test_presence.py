from pyraft_lab.network.presence import Claim, Move, Presence

MINE, THEIRS = Claim(1), Claim(2)


def heard(*claims: Claim | None) -> list[Move]:
    presence = Presence(1)
    return [presence.hear(claim) for claim in claims]


def test_alone_my_claim_lets_me_in() -> None:
    assert heard(MINE) == [Move.ENTER]


def test_a_living_rival_keeps_me_out() -> None:
    assert heard(THEIRS, MINE, Claim(2, is_answer=True)) == [Move.NOTHING, Move.WAIT, Move.LEAVE]


def test_a_dead_rivals_claim_only_makes_me_wait() -> None:
    assert heard(THEIRS, MINE) == [Move.NOTHING, Move.WAIT]


def test_an_answer_that_the_broker_kept_may_be_a_dead_rivals() -> None:
    presence = Presence(1)
    assert presence.hear(Claim(2, is_answer=True), is_old=True) is Move.NOTHING
    assert presence.hear(MINE) is Move.WAIT
    assert presence.hear(Claim(2, is_answer=True)) is Move.LEAVE


def test_a_rival_whose_will_arrives_is_no_rival() -> None:
    assert heard(THEIRS, None, MINE) == [Move.NOTHING, Move.NOTHING, Move.ENTER]


def test_who_claims_after_me_is_told() -> None:
    assert heard(MINE, THEIRS) == [Move.ENTER, Move.ANSWER]


def test_two_newcomers_are_put_in_the_brokers_order() -> None:
    first, second = Presence(1), Presence(2)
    assert [first.hear(claim) for claim in (MINE, THEIRS)] == [Move.ENTER, Move.ANSWER]
    assert [second.hear(claim) for claim in (MINE, THEIRS)] == [Move.NOTHING, Move.WAIT]
    assert second.hear(Claim(1, is_answer=True)) is Move.LEAVE


def test_a_late_will_of_a_dead_process_does_not_wipe_me_out() -> None:
    assert heard(MINE, None) == [Move.ENTER, Move.ANSWER]


def test_my_own_echoes_change_nothing() -> None:
    assert heard(MINE, MINE, Claim(1, is_answer=True)) == [Move.ENTER, Move.NOTHING, Move.NOTHING]


def test_a_claim_comes_out_as_it_went_in_and_nothing_is_nobody() -> None:
    assert (Claim.decode(Claim(5, is_answer=True).encode()), Claim.decode(b"")) == (Claim(5, is_answer=True), None)

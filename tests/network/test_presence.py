from pyraft_lab.network.presence import Claim, NextStep, Presence

MINE, THEIRS = Claim(1), Claim(2)


def heard(*claims: Claim | None) -> list[NextStep]:
    presence = Presence(1)
    return [presence.on_claim(claim) for claim in claims]


def test_alone_my_claim_lets_me_in() -> None:
    assert heard(MINE) == [NextStep.ENTER]


def test_a_living_rival_keeps_me_out() -> None:
    assert heard(THEIRS, MINE, Claim(2, is_answer=True)) == [NextStep.NOTHING, NextStep.WAIT, NextStep.LEAVE]


def test_a_dead_rivals_claim_only_makes_me_wait() -> None:
    assert heard(THEIRS, MINE) == [NextStep.NOTHING, NextStep.WAIT]


def test_an_answer_that_the_broker_kept_may_be_a_dead_rivals() -> None:
    presence = Presence(1)
    assert presence.on_claim(Claim(2, is_answer=True), is_old=True) is NextStep.NOTHING
    assert presence.on_claim(MINE) is NextStep.WAIT
    assert presence.on_claim(Claim(2, is_answer=True)) is NextStep.LEAVE


def test_a_rival_whose_will_arrives_is_no_rival() -> None:
    assert heard(THEIRS, None, MINE) == [NextStep.NOTHING, NextStep.NOTHING, NextStep.ENTER]


def test_who_claims_after_me_is_told() -> None:
    assert heard(MINE, THEIRS) == [NextStep.ENTER, NextStep.ANSWER]


def test_two_newcomers_are_put_in_the_brokers_order() -> None:
    first, second = Presence(1), Presence(2)
    assert [first.on_claim(claim) for claim in (MINE, THEIRS)] == [NextStep.ENTER, NextStep.ANSWER]
    assert [second.on_claim(claim) for claim in (MINE, THEIRS)] == [NextStep.NOTHING, NextStep.WAIT]
    assert second.on_claim(Claim(1, is_answer=True)) is NextStep.LEAVE


def test_a_late_will_of_a_dead_process_does_not_wipe_me_out() -> None:
    assert heard(MINE, None) == [NextStep.ENTER, NextStep.ANSWER]


def test_my_own_echoes_change_nothing() -> None:
    assert heard(MINE, MINE, Claim(1, is_answer=True)) == [NextStep.ENTER, NextStep.NOTHING, NextStep.NOTHING]


def test_a_claim_comes_out_as_it_went_in_and_nothing_is_nobody() -> None:
    assert (Claim.decode(Claim(5, is_answer=True).encode()), Claim.decode(b"")) == (Claim(5, is_answer=True), None)

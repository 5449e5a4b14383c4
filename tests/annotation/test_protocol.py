"""From what people did to what became of an entry: the rules, and what holds for every order of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from annotation.errors import SubmissionError
from annotation.events import (
    CHOICES,
    FLAG_REASONS,
    MAX_NOTE,
    PAYLOADS,
    Choice,
    Event,
    Flag,
    FlagReason,
    Kind,
    Nothing,
    Payload,
    Remark,
    Ruling,
    Stance,
    Vote,
    clean_text,
    dump,
    load,
)
from annotation.protocol import (
    FLAG_KINDS,
    Role,
    Rule,
    State,
    allowed,
    by_entry,
    flag_that_counts,
    fold,
    has_seen_votes,
    is_blind,
    undoable,
)
from tests.annotation.vote_builders import event as build

REVIEWERS = ["r0", "r1", "r2", "r3", "r4"]
VERIFIERS = ["v0", "v1"]
FRAMES = ["a:0", "a:1", "a:2"]


def event(number: int, person: str, kind: Kind, payload: Payload, undoes: int | None = None) -> Event:
    return build(number, "e", person, payload, kind, supersedes=undoes)


def votes(*choices: Choice) -> list[Event]:
    return [event(n + 1, f"r{n}", "vote", Vote(choice)) for n, choice in enumerate(choices)]


def role_of(person: str) -> Role:
    return "reviewer" if person.startswith("r") else "verifier"


@st.composite
def payloads(draw: st.DrawFn, kind: Kind) -> Payload:
    if kind == "vote":
        frames = draw(st.lists(st.sampled_from(FRAMES), max_size=3))
        return Vote(draw(st.sampled_from(CHOICES)), "", tuple(frames))
    if kind == "flag":
        return Flag(draw(st.sampled_from(FLAG_REASONS)))
    if kind in ("decision", "settle"):
        return Ruling(draw(st.sampled_from(["positive", "negative"])))
    if kind == "stance":
        return Stance(draw(st.sampled_from(CHOICES)))
    return Nothing() if kind in ("undo", "unflag") else Remark(draw(st.sampled_from(["", "because"])))


rules = st.builds(
    Rule,
    n_reviewers=st.integers(1, 5),
    n_verifiers=st.integers(1, 2),
    agreement=st.sampled_from(["majority", "unanimity"]),
)


@st.composite
def histories(draw: st.DrawFn, rule: Rule | None = None) -> tuple[Rule, list[Event]]:
    """A log as the store lets it grow: at every step something that somebody may do."""
    rule = rule or draw(rules)
    log: list[Event] = []
    for number in range(1, draw(st.integers(0, 24)) + 1):
        doable: list[tuple[str, Kind]] = []
        state = fold(log, rule)
        for person in [*REVIEWERS, *VERIFIERS]:
            doable += [(person, kind) for kind in sorted(allowed(state, person, role_of(person), rule))]
            if undoable(log, person, rule) is not None:
                doable.append((person, "undo"))
        if not doable:
            break
        person, kind = draw(st.sampled_from(doable))
        target = undoable(log, person, rule) if kind == "undo" else None
        if kind in ("flag", "unflag"):
            target = flag_that_counts(log, "e", person)
        log.append(event(number, person, kind, draw(payloads(kind)), undoes=target.id if target else None))
    return rule, log


@pytest.mark.parametrize(
    ("n_reviewers", "agreement", "choices", "state", "label"),
    [
        (5, "majority", [], "open", None),
        (5, "majority", ["positive"] * 4, "voted", None),
        (5, "majority", ["positive"] * 5, "agreed", "positive"),
        (5, "majority", ["positive"] * 2 + ["negative"] * 3, "agreed", "negative"),
        (5, "majority", ["positive"] * 4 + ["uncertain"], "needs_verifier", None),
        (5, "majority", ["uncertain"] * 5, "needs_verifier", None),
        (4, "majority", ["positive"] * 2 + ["negative"] * 2, "needs_verifier", None),
        (4, "majority", ["positive"] * 3 + ["negative"], "agreed", "positive"),
        (5, "unanimity", ["negative"] * 5, "agreed", "negative"),
        (5, "unanimity", ["positive"] * 4 + ["negative"], "needs_verifier", None),
        (5, "unanimity", ["positive"] * 4 + ["uncertain"], "needs_verifier", None),
    ],
)
def test_the_rule_settles_an_entry_or_hands_it_to_the_verifier(
    n_reviewers: int, agreement: str, choices: list[Choice], state: State, label: str | None
) -> None:
    found = fold(votes(*choices), Rule(n_reviewers, agreement=agreement))  # type: ignore[arg-type]
    assert (found.state, found.label) == (state, label)


def test_the_verifier_decides_and_the_decision_says_how_far_reviewers_agreed() -> None:
    log = [*votes("positive", "positive", "uncertain", "negative", "positive")]
    decided = fold([*log, event(6, "v0", "decision", Ruling("positive"))], Rule())
    assert decided.state == "verified"
    assert decided.decision is not None
    assert (decided.decision.decided_by, decided.decision.n_reviewers, decided.decision.agreement) == (
        "verifier",
        5,
        0.6,
    )


def test_verifiers_who_decide_differently_send_the_entry_to_the_discussion() -> None:
    rule = Rule(n_reviewers=1, n_verifiers=2)
    log = [*votes("uncertain"), event(2, "v0", "decision", Ruling("positive"))]
    assert fold(log, rule).state == "needs_verifier"
    assert allowed(fold(log, rule), "v0", "verifier", rule) == {"discuss"}
    assert fold([*log, event(3, "v1", "decision", Ruling("positive"))], rule).state == "verified"
    assert fold([*log, event(3, "v1", "decision", Ruling("negative"))], rule).state == "in_discussion"


def test_the_discussion_ends_with_a_consensus_or_with_an_exclusion() -> None:
    rule = Rule(n_reviewers=1)
    log = [*votes("uncertain"), event(2, "v0", "discuss", Remark("irony?")), event(3, "r0", "message", Remark("yes"))]
    discussed = fold(log, rule)
    assert discussed.state == "in_discussion"
    assert [message.text for message in discussed.messages] == ["irony?", "yes"]
    settled = fold([*log, event(4, "v0", "settle", Ruling("negative", "irony"))], rule)
    assert (settled.state, settled.label, settled.note) == ("settled", "negative", "irony")
    excluded = fold([*log, event(4, "v0", "exclude", Remark("no advert"))], rule)
    assert (excluded.state, excluded.label, excluded.note) == ("excluded", None, "no advert")
    assert excluded.decision is None


def test_nobody_skips_a_step() -> None:
    rule = Rule(n_reviewers=1)
    opened, agreed = fold([], rule), fold(votes("positive"), rule)
    waiting = fold(votes("uncertain"), rule)
    verified = fold([*votes("uncertain"), event(2, "v0", "decision", Ruling("positive"))], rule)
    assert allowed(opened, "v0", "verifier", rule) == set()
    assert allowed(agreed, "v0", "verifier", rule) == set()
    assert allowed(waiting, "v0", "verifier", rule) == {"decision", "discuss"}
    assert allowed(verified, "v0", "verifier", rule) == set()
    assert allowed(verified, "r0", "reviewer", rule) == set(), "the verifier has decided"
    assert allowed(agreed, "r1", "reviewer", rule) == set(), "enough have voted"
    assert allowed(waiting, "a", "admin", rule) == set()


def flag(number: int, person: str, reason: FlagReason = "not_an_ad", instead_of: int | None = None) -> Event:
    return event(number, person, "flag", Flag(reason), undoes=instead_of)


def unflag(number: int, person: str, of: int) -> Event:
    return event(number, person, "unflag", Nothing(), undoes=of)


def test_a_flagged_entry_goes_to_the_verifier_even_where_the_votes_agree() -> None:
    agreed = votes(*("positive",) * 5)
    flagged = fold([*agreed, flag(6, "r0")], Rule())
    assert (flagged.state, flagged.label, flagged.flags) == ("needs_verifier", None, {"r0": Flag("not_an_ad")})
    assert fold([flag(6, "r0"), *agreed], Rule()) == flagged, "before the votes, too"
    assert fold([flag(6, "r0"), *agreed[:4]], Rule()).state == "voted", "it waits for the votes"
    assert "decision" in allowed(flagged, "v0", "verifier", Rule())
    decided = fold([*agreed, flag(6, "r0"), event(7, "v0", "decision", Ruling("positive"))], Rule())
    assert decided.state == "verified"
    assert not {"flag", "unflag"} & allowed(decided, "r0", "reviewer", Rule())


def test_a_flag_that_was_taken_back_makes_no_difference_and_the_last_one_counts() -> None:
    agreed = votes(*("positive",) * 5)
    changed = [*agreed, flag(6, "r0"), flag(7, "r0", "broken_picture", instead_of=6)]
    assert fold(changed, Rule()).flags == {"r0": Flag("broken_picture")}
    assert "unflag" in allowed(fold(changed, Rule()), "r0", "reviewer", Rule())
    assert "unflag" not in allowed(fold(changed, Rule()), "r1", "reviewer", Rule())
    assert fold([*changed, unflag(8, "r0", 7)], Rule()) == fold(agreed, Rule())


def test_an_undo_takes_back_the_vote_and_not_the_flag() -> None:
    log = [*votes("positive"), flag(2, "r0")]
    assert undoable(log, "r0", Rule()) == log[0]
    assert undoable(log[1:], "r0", Rule()) is None


def test_frames_are_excluded_by_more_than_half_of_the_reviewers() -> None:
    rule = Rule(n_reviewers=4)
    by = [("a:0", "a:1"), ("a:0", "a:1"), ("a:0",), ()]
    log = [event(n + 1, f"r{n}", "vote", Vote("uncertain", "", frames)) for n, frames in enumerate(by)]
    assert fold(log, rule).excluded_frames == ("a:0",), "half of them is no majority"
    assert fold(log[:2], rule).excluded_frames == (), "two of four, with two votes to come"


@given(histories())
def test_an_undo_restores_exactly_the_state_before(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    assume(log and log[-1].kind not in ("undo", *FLAG_KINDS))
    last = log[-1]
    target = undoable(log, last.person_id, rule)
    assert target == last, "what was just done can be taken back"
    undone = [*log, event(len(log) + 1, last.person_id, "undo", Nothing(), undoes=last.id)]
    assert fold(undone, rule) == fold(log[:-1], rule)


@given(histories())
def test_what_was_taken_back_makes_no_difference_to_what_comes_after(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    undone = {each.supersedes for each in log if each.kind in ("undo", "unflag", "flag")}
    kept = [each for each in log if each.kind not in ("undo", "unflag") and each.id not in undone]
    assert fold(log, rule) == fold(kept, rule)


@given(st.data(), rules)
def test_the_order_of_the_voters_makes_no_difference(data: st.DataObject, rule: Rule) -> None:
    by_person: dict[str, list[Event]] = {}
    number = 0
    for person in REVIEWERS:
        for _ in range(data.draw(st.integers(0, 3))):
            number += 1
            by_person.setdefault(person, []).append(event(number, person, "vote", data.draw(payloads("vote"))))
    one_after_another = [each for own in by_person.values() for each in own]
    turns = data.draw(st.permutations([each.person_id for each in one_after_another]))
    queues = {person: iter(own) for person, own in by_person.items()}
    mixed = [next(queues[person]) for person in turns]
    assert fold(mixed, rule) == fold(one_after_another, rule)


@given(histories(Rule()), histories(Rule()), st.data())
def test_entries_do_not_touch_each_other(
    one: tuple[Rule, list[Event]], two: tuple[Rule, list[Event]], data: st.DataObject
) -> None:
    first = one[1]
    second = [
        replace(each, id=each.id + 1000, entry_id="f", supersedes=each.supersedes and each.supersedes + 1000)
        for each in two[1]
    ]
    turns = data.draw(st.permutations(["e"] * len(first) + ["f"] * len(second)))
    logs = {"e": iter(first), "f": iter(second)}
    mixed = by_entry(next(logs[entry]) for entry in turns)
    found = {entry: fold(log, Rule()) for entry, log in mixed.items()}
    assert found.get("e", fold([], Rule())) == fold(first, Rule())
    assert found.get("f", fold([], Rule())) == fold(second, Rule())


@given(histories())
def test_a_fold_is_the_same_every_time_and_leaves_the_log_alone(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    before = list(log)
    assert fold(iter(log), rule) == fold(log, rule)
    assert log == before


@given(histories())
def test_an_uncertain_vote_is_never_outvoted(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    state = fold(log, rule)
    if any(vote.choice == "uncertain" for vote in state.votes.values()):
        assert state.state != "agreed"
    if state.state == "agreed":
        assert len(state.votes) >= rule.n_reviewers
    assert (state.label is not None) == (state.state in ("agreed", "verified", "settled"))


def test_a_vote_can_be_taken_back_from_agreement_but_not_from_a_verifiers_hands() -> None:
    rule = Rule(n_reviewers=1)
    assert undoable(votes("positive"), "r0", rule) is not None
    assert undoable(votes("uncertain"), "r0", rule) is not None
    assert undoable(votes("positive"), "r1", rule) is None, "not one's own"
    decided = [*votes("uncertain"), event(2, "v0", "decision", Ruling("positive"))]
    assert undoable(decided, "r0", rule) is None
    taken_back = [*decided, event(3, "v0", "undo", Nothing(), undoes=2)]
    assert undoable(taken_back, "r0", rule) is not None
    discussed = [*votes("uncertain"), event(2, "v0", "discuss", Remark())]
    assert undoable(discussed, "r0", rule) is None


@given(histories())
def test_stances_change_nothing_but_what_people_say_now(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    stances = {each.id for each in log if each.kind == "stance"}
    without = fold([each for each in log if each.id not in stances | {0} and each.supersedes not in stances], rule)
    assert without.stances == {}
    spoken = tuple(message for message in fold(log, rule).messages if message.choice is None)
    assert replace(fold(log, rule), stances={}, messages=spoken) == without


@given(histories())
def test_of_a_persons_stances_the_latest_that_was_not_taken_back_counts(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    undone = {each.supersedes for each in log if each.kind == "undo"}
    latest = {
        each.person_id: each.payload.choice
        for each in log
        if isinstance(each.payload, Stance) and each.id not in undone
    }
    assert fold(log, rule).stances == latest


@given(histories())
def test_votes_that_others_have_seen_stay_as_they_are(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    states = [fold(log[:count], rule) for count in range(len(log) + 1)]
    first = next((count for count, state in enumerate(states) if state.revealed), None)
    for state in states[first:] if first is not None else []:
        assert state.revealed, "taking the discussion back does not hide what was seen"
        assert state.votes == states[first].votes  # type: ignore[index]
    assert all(state.revealed for state in states if state.state == "in_discussion")


def test_a_discussion_taken_back_leaves_the_votes_closed() -> None:
    rule = Rule(n_reviewers=1)
    log = [*votes("uncertain"), event(2, "v0", "discuss", Remark("irony?"))]
    log.append(event(3, "v0", "undo", Nothing(), undoes=2))
    assert fold(log, rule).state == "needs_verifier"
    assert allowed(fold(log, rule), "r0", "reviewer", rule) == set(), "they have seen each other's votes"
    assert undoable(log, "r0", rule) is None
    assert allowed(fold(log, rule), "v0", "verifier", rule) == {"decision", "discuss"}


def test_a_stance_is_a_word_in_the_discussion_and_no_vote() -> None:
    rule = Rule(n_reviewers=1)
    log = [*votes("uncertain"), event(2, "v0", "discuss", Remark())]
    assert {"message", "stance"} <= allowed(fold(log, rule), "r0", "reviewer", rule)
    assert {"message", "stance"} <= allowed(fold(log, rule), "v0", "verifier", rule)
    log += [event(3, "r0", "stance", Stance("negative")), event(4, "v0", "stance", Stance("negative"))]
    discussed = fold(log, rule)
    assert (discussed.state, dict(discussed.stances)) == ("in_discussion", {"r0": "negative", "v0": "negative"})
    settled = fold([*log, event(5, "v0", "settle", Ruling("negative", "all agree"))], rule)
    assert settled.decision is not None
    assert settled.decision.agreement == 0.0, "the vote was uncertain, whatever was said later"
    assert settled.outcome is not None
    assert (settled.outcome.person_id, settled.outcome.text) == ("v0", "all agree")
    assert "stance" not in allowed(settled, "r0", "reviewer", rule)


@given(histories())
def test_a_decision_is_blind_if_its_verifier_had_seen_no_votes_before(history: tuple[Rule, list[Event]]) -> None:
    rule, log = history
    decided: set[str] = set()
    for place, each in enumerate(log):
        before = log[:place]
        if each.kind == "decision":
            assert is_blind(log, each) == (each.person_id not in decided and not fold(before, rule).revealed)
            decided.add(each.person_id)
        for person in VERIFIERS:
            assert has_seen_votes(log[: place + 1], person) >= has_seen_votes(before, person), "nobody unsees them"
    assert all(has_seen_votes(log, person) for person in decided)


def test_a_vote_taken_back_gives_way_to_the_one_before() -> None:
    rule = Rule(n_reviewers=1)
    log = [event(1, "r0", "vote", Vote("positive")), event(2, "r0", "vote", Vote("negative"))]
    assert fold(log, rule).label == "negative"
    assert fold([*log, event(3, "r0", "undo", Nothing(), undoes=2)], rule).label == "positive"


@pytest.mark.parametrize("numbers", [{"n_reviewers": 0}, {"n_verifiers": 0}, {"agreement": "some"}])
def test_a_rule_that_makes_no_sense_is_refused(numbers: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"at least one of each|expected majority or unanimity"):
        Rule(**numbers)  # type: ignore[arg-type]


hostile = st.text(st.characters(exclude_categories=()), max_size=60)


@given(hostile)
def test_whatever_is_written_can_be_kept_and_comes_back(text: str) -> None:
    kinds: Sequence[tuple[Kind, Payload]] = [
        ("vote", Vote("positive", text, ("b", "a", "b"))),
        ("settle", Ruling("negative", text)),
        ("message", Remark(text)),
        ("stance", Stance("uncertain")),
        ("undo", Nothing()),
    ]
    for kind, payload in kinds:
        stored = dump(payload)
        stored.encode("utf-8")
        assert "\x00" not in stored
        assert load(kind, stored) == payload
        assert isinstance(payload, PAYLOADS[kind])
    assert clean_text(clean_text(text)) == clean_text(text)


def test_nonsense_is_refused_with_what_was_expected() -> None:
    with pytest.raises(SubmissionError, match="'maybe'; expected one of positive, negative, uncertain"):
        Vote("maybe")  # type: ignore[arg-type]
    with pytest.raises(SubmissionError, match="'uncertain'; expected one of negative, positive"):
        Ruling("uncertain")  # type: ignore[arg-type]
    with pytest.raises(SubmissionError, match="stance 'maybe'; expected one of"):
        Stance("maybe")  # type: ignore[arg-type]
    with pytest.raises(SubmissionError, match=r"1,000,000 characters; at most 2,000"):
        Vote("positive", "x" * 1_000_000)
    assert len(Vote("positive", "x" * MAX_NOTE).note) == MAX_NOTE

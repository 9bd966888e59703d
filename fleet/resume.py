"""`patch --resume`: what a run that was broken off, interrupted or stopped left, and what is to be done about it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from fleet import earlier, plan, who
from fleet.earlier import Earlier
from fleet.errors import ChefServerError, NotFoundError, NothingToResumeError, SettingsError
from fleet.history import History, RunLine
from fleet.journal import Journal, utc
from fleet.node import Node, State
from fleet.plan import LATER, Plan
from fleet.report.record import Outcome
from fleet.rollout import begun
from fleet.settings import Settings
from fleet.text import clean
from fleet.waves import Begun

STEP = "resume"  # of a run: somebody goes on with it
ASKED = 100  # nodes that the search does not find any more, of which the Chef server is asked one by one


@dataclass(frozen=True, slots=True)
class Past:
    """A run that is resumed: as the journal has it, and what it did with its nodes so far, by name."""

    line: RunLine
    nodes: Mapping[str, Earlier]

    @property
    def run(self) -> str:
        """Its name."""
        return self.line.id

    @property
    def environments(self) -> set[str]:
        """Those that it held the locks on when it began: one may have no node any more, and is still locked."""
        held = self.line.about.get("environments")
        return {each for each in held if isinstance(each, str)} if isinstance(held, list) else set()

    def spare(self, node: Node, why: str) -> Outcome:
        """Return how a node ends that this part leaves alone, for a reason."""
        return self.nodes.get(node.name, Earlier()).spared(node, why)


def read(book: History, run: str | None = None, environment: str | None = None) -> Past:
    """Return the run to resume: the one named, or the last `patch`, with `environment` the last one given that.

    Raises NothingToResumeError where it ended with 0, SettingsError where there is none, where it verified only, or
    where its process is alive.
    """
    line = book.run(run) if run else _last(book, environment)
    if line.about.get("verb") != "patch":
        raise SettingsError(f"run {line.id} changed nothing, so there is nothing to go on with: run it again.")
    if line.finished and line.exit_code == 0:
        raise NothingToResumeError(
            f"nothing to resume: run {line.id} ended with 0, every node that was asked in order; `invoke report` has "
            "its report, `invoke history` lists other runs and --run names one."
        )
    refuse_the_living(line.id, line.about, line.finished)
    return Past(line, {node.name: earlier.of(node) for node in book.nodes(line.id)})


def _last(book: History, environment: str | None) -> RunLine:
    for line in book.runs(1000, environment):
        if line.about.get("verb") == "patch":
            return line
    where = f" of {clean(environment, 100)}" if environment else ""
    raise SettingsError(f"the journal {book.path} holds no run of `invoke patch`{where}, so there is none to resume.")


def refuse_the_living(run: str, about: Mapping[str, object], finished: object) -> None:
    """Raise SettingsError for a run that goes on in a process of this machine."""
    process = about.get("process")
    if not finished and isinstance(process, Mapping) and who.runs(process, str(about.get("host"))):
        raise SettingsError(
            f"run {run} is running, as process {process['pid']}: `invoke status` shows it, and Ctrl-C there, or "
            f"kill -INT {process['pid']}, ends it so that it can be resumed."
        )


def unseen(past: Past) -> str | None:
    """Return in a sentence that nobody can tell from here whether the run goes on elsewhere; None where it does not."""
    if past.line.stage != "unknown":
        return None
    return (
        f"run {past.run} was begun on {clean(str(past.line.about.get('host')), 60)}, where its process may still be "
        "alive for all that can be told from here: see that it is not."
    )


def planned(server, past: Past, found: Sequence[Node], advisories: Sequence, settings: Settings) -> Plan:
    """Return the plan for what is left of a run: `found` are the nodes as the search has them now.

    Nodes that were cut short come first, then those that failed, because whether they still do is what a person wants
    to know who mended something. Every node of the run is in it, also those that are not found any more; who had its
    turn behind a limit keeps it.
    """
    limit = settings.limit if not past.nodes else None  # one that was cut short before it had any
    fresh = plan.make(found, advisories, replace(settings, limit=limit))
    asked, left_out = [], []
    for node in fresh.asked:
        before = past.nodes.get(node.name)
        late = before is None and settings.limit is not None and limit is None
        if late or (before and before.end and (before.end.record.error or "").startswith(LATER)):
            left_out.append(begun(node, state=State.SKIPPED, error=f"{LATER} {settings.limit}"))
        else:
            asked.append(node)
    left_out += [_kept(past, outcome) for outcome in fresh.left_out]
    here = {node.name for node in found}
    gone = [each for name, each in sorted(past.nodes.items()) if name not in here]
    left_out += [_gone(server, each, number < ASKED) for number, each in enumerate(gone)]
    asked.sort(key=lambda node: _turn(past.nodes.get(node.name)))  # stable: the plan's order within each
    return replace(fresh, asked=tuple(asked), left_out=tuple(left_out), begun=_begun(past, asked))


def _begun(past: Past, asked: Sequence[Node]) -> Begun:
    them = [before for node in asked if (before := past.nodes.get(node.name))]
    return Begun(
        {each.name: each.wave for each in them if each.wave},
        frozenset(each.name for each in them if each.good and each.end.record.wave and not each.wave),
        frozenset(each.name for each in them if each.good and not each.end.record.wave and not each.wave),
    )


def _turn(before: Earlier | None) -> int:
    """Return when a node's turn comes: 0 if it was cut short, 1 if its end was no good one, 2 else."""
    if before and before.wave:
        return 0
    return 1 if before and before.end and not before.good and before.end.record.state is not State.SKIPPED else 2


def _kept(past: Past, outcome: Outcome) -> Outcome:
    """Return how a node ends that the plan leaves out now: as it did, if it was in order and was asked."""
    before = past.nodes.get(outcome.record.name)
    if before is None or not (before.good and before.holds) or before.end.record.started is None:
        return outcome
    before.end.record.note = f"not verified again: {outcome.record.error or outcome.record.state}"
    return before.end


def _gone(server, before: Earlier, ask: bool) -> Outcome:
    """Return how a node ends that the search does not find any more."""
    if before.good and before.holds:
        before.end.record.note = "not verified again: the search does not find it any more"
        return before.end
    known = before.row.record
    node = Node(before.name, known.environment, known.address, known.platform, known.release)
    state, why = State.UNREACHABLE, "the search does not find it any more"
    with suppress(ChefServerError):  # then it stays out of reach, and somebody looks
        if ask:
            try:
                there = server.get(f"/nodes/{quote(before.name, safe='')}")
                why += f", though it is on the Chef server, in the environment {there.get('chef_environment')}"
            except NotFoundError:
                state, why = State.SKIPPED, "it is not on the Chef server any more"
    outcome = begun(node, state=state, error=clean(why, 300) + _as_it_was(before))
    if before.end:
        before.end.record.state, before.end.record.error = state, outcome.record.error
        return before.end
    return outcome


def _as_it_was(before: Earlier) -> str:
    said = ""
    if before.end:
        record = before.end.record
        said = f"; it ended {record.state} before" + (f": {record.error}" if record.error else "")
    return said + (f"; it was cut short in {before.steps[-1].name}" if before.steps else "")


def told(past: Past, made: Plan) -> Iterator[str]:
    """Yield what a resume is about, for the question before it: which run, how it ended, what is left of it."""
    line = past.line
    ended = f"ended with {line.exit_code}" if line.finished else "was broken off"
    new = sum(node.name not in past.nodes for node in made.asked) if past.nodes else 0
    verified = len(made.begun.changed) + len(made.begun.in_order)
    left = len(made.asked) - verified - len(made.begun.at_work)
    yield f"resumes      run {line.id} of {clean(line.started, 40)}, which {ended}"
    yield (
        f"             {len(made.begun.at_work)} cut short are gone on with, {verified} that are in order verified, "
        f"{left} are left" + (f", {new} of them new" if new else "")
    )
    if sentence := unseen(past):
        yield f"             {sentence}"


def enter(journal: Journal, past: Past, now: Mapping[str, object]) -> tuple[dict, tuple]:
    """Take the run up: it has no end from now on, and this process. Return what it is about, and how it was.

    `now` is what of that is another from now on; the latter is for Journal.finish_again. Raises SettingsError where
    somebody else has taken it up meanwhile: of two at the same moment one gets it.
    """
    def again(about: dict, finished: str | None) -> dict:
        refuse_the_living(past.run, about, finished)
        times = about["resumed"].get("times", 0) if isinstance(about.get("resumed"), dict) else 0
        resumed = {"times": times + 1, "at": utc(datetime.now(UTC)), "operator": who.operator()}
        return about | now | {"host": who.host(), "process": who.process(), "resumed": resumed}

    return journal.resume(past.run, again, STEP, operator=who.operator(), host=who.host(), **who.process())

"""Automations of the server that end dead runs, restart runs that failed or crashed, and give up hopeless ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

SILENCE_S = 300.0
"""A run that shows no sign of life for so long is taken for dead; it sends one every 30 seconds."""
START_S = 900.0
"""A run that a worker has taken and not begun after so long is taken for dead."""
PAUSE_S = 60.0
"""Pause before a run that failed or crashed is tried again."""
STARTS = 4
"""A run that was started again so often in a day and never began is given up; one that begins counts by itself."""
ENDED_BADLY = ("Failed", "Crashed")
GOES_ON = ("AwaitingRetry", "Scheduled", "Late", "Pending", "Running", "Completed", "Cancelled", "GivenUp")
"""States that may follow, of a run that is started again, was ended by hand or is given up."""


def recovery(deployments: Sequence[str]) -> list[AutomationCore]:
    """Automations that end dead runs of these deployments as *Crashed*, and start what failed or crashed again.

    The server starts a run again, and not the run itself (Prefect's `retries`): it may be the process that is gone.

    Args:
        deployments: ids.
    """
    begun_or_ended = ("Running", "Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Late")
    silent = on_runs(deployments, ["*"], after=["heartbeat"], within_s=SILENCE_S)
    stuck = on_runs(deployments, begun_or_ended, after=["Pending"], within_s=START_S)
    ended = on_runs(deployments, GOES_ON, after=ENDED_BADLY, within_s=PAUSE_S)
    in_vain = on_runs(deployments, ["AwaitingRetry"], within_s=86_400.0, threshold=STARTS)
    # beginning raises the count, so that a run which begins starts over
    in_vain.for_each.add("prefect.run-count")
    return [
        _automation(
            "end runs that show no sign of life",
            silent,
            StateType.CRASHED,
            f"No sign of life for {SILENCE_S:.0f} seconds: the process or its machine is gone.",
        ),
        _automation(
            "end runs that a worker took and never began",
            stuck,
            StateType.CRASHED,
            f"Taken by a worker and not begun within {START_S:.0f} seconds: the worker is gone.",
        ),
        _automation(
            "start runs again that failed or crashed",
            ended,
            StateType.SCHEDULED,
            "It failed or crashed.",
            "AwaitingRetry",
        ),
        _automation(
            "give up runs that never begin",
            in_vain,
            StateType.FAILED,
            f"Started again {STARTS} times and never begun: its log, or the worker's, says why.",
            "GivenUp",
        ),
    ]


def on_runs(
    deployments: Sequence[str],
    expect: Collection[str],
    *,
    after: Collection[str] = (),
    within_s: float,
    threshold: int = 1,
) -> EventTrigger:
    """Fires for a run of these deployments at an event, or where one is missing.

    Args:
        deployments: ids.
        expect: names of states or of other events of runs.
        after: if there are any: it fires where none of those expected follows one of these.
        within_s: time to wait; without `after`, that in which so many events as the threshold must come, and in which
            it does not fire again.
        threshold: number of events.
    """
    return EventTrigger(
        after={f"prefect.flow-run.{event}" for event in after},
        expect={f"prefect.flow-run.{event}" for event in expect},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={
            "prefect.resource.role": "deployment",
            "prefect.resource.id": [f"prefect.deployment.{id_}" for id_ in deployments],
        },
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive if after else Posture.Reactive,
        threshold=threshold,
        within=timedelta(seconds=within_s),
    )


def _automation(
    name: str, trigger: EventTrigger, state: StateType, message: str, state_name: str | None = None
) -> AutomationCore:
    change = ChangeFlowRunState(state=state, name=state_name, message=message, force=False)
    return AutomationCore(name=f"ytb-ads: {name}", trigger=trigger, actions=[change])


def register_automation(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Create the automation, or update the one of the same name."""
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        return
    client.update_automation(found[0].id, automation)
    for superfluous in found[1:]:
        client.delete_automation(superfluous.id)

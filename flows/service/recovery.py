"""Automations of the server that end dead runs, and start runs again that failed or crashed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

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


def recovery(deployments: list[str]) -> list[AutomationCore]:
    """Automations that end dead runs of these deployments as *Crashed*, and start what failed or crashed again.

    The server starts a run again, and not the run itself (Prefect's `retries`): it may be the process that is gone.

    Args:
        deployments: ids.
    """

    def automation(name: str, after: set[str], expect: set[str], within_s: float, action: ChangeFlowRunState) -> Any:
        trigger = EventTrigger(
            after={f"prefect.flow-run.{event}" for event in after},
            expect={f"prefect.flow-run.{event}" for event in expect},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related={
                "prefect.resource.role": "deployment",
                "prefect.resource.id": [f"prefect.deployment.{id_}" for id_ in deployments],
            },
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=within_s),
        )
        return AutomationCore(name=f"ytb-ads: {name}", trigger=trigger, actions=[action])

    def crash(message: str) -> ChangeFlowRunState:
        return ChangeFlowRunState(state=StateType.CRASHED, name=None, message=message, force=False)

    return [
        automation(
            "end runs that show no sign of life",
            {"heartbeat"},
            {"*"},
            SILENCE_S,
            crash(f"No sign of life for {SILENCE_S:.0f} seconds: the process or its machine is gone."),
        ),
        automation(
            "end runs that a worker took and never began",
            {"Pending"},
            {"Running", "Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Late"},
            START_S,
            crash(f"Taken by a worker and not begun within {START_S:.0f} seconds: the worker is gone."),
        ),
        automation(
            "start runs again that failed or crashed",
            {"Failed", "Crashed"},
            {"AwaitingRetry", "Scheduled", "Late", "Pending", "Running", "Completed", "Cancelled"},
            PAUSE_S,
            ChangeFlowRunState(
                state=StateType.SCHEDULED, name="AwaitingRetry", message="It failed or crashed.", force=False
            ),
        ),
    ]


def register_automation(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make it, or bring the one of its name up to date."""
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        return
    client.update_automation(found[0].id, automation)
    for superfluous in found[1:]:
        client.delete_automation(superfluous.id)

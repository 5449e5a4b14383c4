"""Notifications: automations of the server that send messages through a notification block of the user."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.filters import EventFilter, EventNameFilter, EventRelatedFilter
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

from flows.errors import SettingsError
from flows.service.recovery import ENDED_BADLY, GOES_ON, PAUSE_S, on_runs, register_automation

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import BlockDocument
    from prefect.events.schemas.events import ReceivedEvent

UNHEALTHY = "ytb-ads.health.failed"
"""Event of `ytb-ads health` that has found a failure."""
TRIED = "ytb-ads.notification.tried"
"""Event that sends a message on trial."""
LEFT_S = PAUSE_S + 240.0
"""A run that has failed and is not started again for so long is left to its owner."""
DAILY_S = 20 * 3600.0
"""Time in which one message says that a catalog is not well; looking each day brings one a day."""
TRIAL_S = 60.0
PREFIX = "ytb-ads: notify: "
"""Beginning of the automations' names."""

# Templates that the server fills in; {%- takes the end of the line before away.
# a run that has begun has its catalog as a tag: by default it is that of the host
_RUN = (
    "{{ flow_run.name }}{% for tag in flow_run.tags if tag.startswith('catalog:') %}, catalog {{ tag[8:] }}{% else %}"
    "{% if flow_run.parameters.catalog %}, catalog {{ flow_run.parameters.catalog }}{% endif %}{% endfor %}"
)
# not the filter ui_url: the server knows the address of its pages only where its own environment names it
_LINK = "{% if flow_run %}PAGES/runs/flow-run/{{ flow_run.id }}{% endif %}"
_FAILED = (
    _RUN,
    # it may be the whole text of an error, whose last line says most
    (
        "{{ (flow_run.state.message or 'no reason given').strip().splitlines()|last"
        "|replace('Flow run encountered an exception: ', '')|truncate(500) }}"
    ),
    "To do: read its log, mend the cause, then: prefect flow-run retry {{ flow_run.id }}",
    _LINK,
)
_PAUSED = (_RUN, "{{ flow_run.state.message }}", "Nothing to do: another run goes on by itself.", _LINK)
_LATE = (
    _RUN,
    "Due at {{ flow_run.expected_start_time.strftime('%Y-%m-%d %H:%M') }} UTC and not begun.",
    "{%- if work_pool.status.value == 'READY' %}",
    "A worker of the pool {{ work_pool.name }} is online: the run waits for another one, or its queue is paused.",
    "{%- else %}",
    "No worker of the pool {{ work_pool.name }} is online. To do: prefect worker start --pool {{ work_pool.name }}",
    "{%- endif %}",
    _LINK,
)
_REFUSED = (
    "{{ event.payload.run }}, catalog {{ event.payload.catalog }}",
    "{{ event.payload.reason }}",
    "In service: {{ event.payload.instead_of or 'no model yet' }}",
    "To do: nothing, or if you know better:",
    "ytb-ads models promote {{ event.payload.run }} --catalog {{ event.payload.catalog }}",
    _LINK,
)
_UNWELL = (
    "{% for each in event.payload.failed %}{{ each.name }}: {{ each.said }}",
    "{%- if each.todo %}",
    "To do: {{ each.todo }}",
    "{%- endif %}",
    "{% endfor %}ytb-ads health --catalog {{ event.payload.catalog }}",
)
_TRIAL = ("The Prefect server sends them through the block {{ event.payload.block }}. Nothing to do.",)


def notifications(block: UUID, deployments: Sequence[str], late_minutes: float) -> list[AutomationCore]:
    """Automations that send a message when something needs attention.

    A run that fails and succeeds when it is started again sends none.

    Args:
        block: id of the block that sends them.
        deployments: ids of those whose runs are told of.
        late_minutes: minutes after which a run that nobody has begun is late.
    """

    def notify(name: str, trigger: EventTrigger, subject: str, lines: Sequence[str]) -> AutomationCore:
        send = SendNotification(
            block_document_id=block, subject=f"YTB-ADS: {subject}", body="\n".join(lines).replace("PAGES", pages)
        )
        return AutomationCore(name=f"{PREFIX}{name}", trigger=trigger, actions=[send])

    pages = (PREFECT_UI_URL.value() or PREFECT_API_URL.value() or "").rstrip("/").removesuffix("/api")
    begun = ("Pending", "Running", "Completed", "Failed", "Crashed", "Cancelled")
    return [
        notify(
            "a run has failed for good",
            on_runs(deployments, ["GivenUp"], within_s=600.0),
            "{{ deployment.name }} failed for good",
            _FAILED,
        ),
        notify(
            "a run has failed and is not started again",
            on_runs(deployments, GOES_ON, after=ENDED_BADLY, within_s=LEFT_S),
            "{{ deployment.name }} failed, and the server has not started it again",
            _FAILED,
        ),
        notify(
            "a crawl is paused",
            on_runs(deployments, ["Paused"], within_s=0.0),
            "{{ deployment.name }} is paused",
            _PAUSED,
        ),
        notify(
            "a run is late",
            on_runs(deployments, begun, after=["Late"], within_s=60 * late_minutes),
            "{{ deployment.name }} is late",
            _LATE,
        ),
        notify("a model is refused", _on("ytb-ads.model.refused"), "a new model is refused", _REFUSED),
        notify(
            "a catalog is not well",
            _on(UNHEALTHY, within_s=DAILY_S),
            "{{ event.payload.failed|length }} failed of the health of {{ event.payload.catalog }}",
            _UNWELL,
        ),
        notify("on trial", _on(TRIED), "notifications arrive", _TRIAL),
    ]


def _on(event: str, within_s: float = 0.0) -> EventTrigger:
    return EventTrigger(
        expect={event},
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(seconds=within_s),
    )


def register_notifications(
    client: SyncPrefectClient, sender: BlockDocument | None, deployments: Sequence[str], late_minutes: float
) -> Iterator[str]:
    """Make the automations that send messages, or remove them where there is no sender; yields what was done."""
    wanted = notifications(sender.id, deployments, late_minutes) if sender else []
    names = {automation.name for automation in wanted}
    known = [each for each in client.read_automations() if each.name.startswith(PREFIX)]
    for outdated in known:
        if outdated.name not in names:
            client.delete_automation(outdated.id)
    for automation in wanted:
        register_automation(client, automation)
    if sender:
        yield f"notifications: sent through the block {sender.name}; ytb-ads deploy --try-notification sends one"
    elif known:
        yield "notifications: removed, as the setting notify.block names no block"


def find_block(client: SyncPrefectClient, block: str) -> BlockDocument:
    """The block of the server that the setting names, as `TYPE/NAME`.

    Raises:
        SettingsError: there is no such block, and how to make it; or it is none that sends messages.
    """
    kind, _, name = block.partition("/")
    senders = _senders()
    known = f"types that send messages: {', '.join(sorted(senders))}"
    try:
        found = client.read_block_document_by_name(name, kind, include_secrets=False)
    except ObjectNotFound:
        raise SettingsError(
            f"notify.block = {block!r}: the Prefect server has no such block; "
            + (f"make it in its pages under Blocks, or: {_command(senders[kind], name)}" if kind in senders else known)
        ) from None
    if found.block_schema is None or "notify" not in found.block_schema.capabilities:
        raise SettingsError(f"notify.block = {block!r}: blocks of that type send no messages; {known}")
    return found


def _command(sender: Any, name: str) -> str:
    """Command that creates a block of a type, without the values of its fields."""
    fields = ", ".join(f"{field}='...'" for field, value in sender.model_fields.items() if value.is_required())
    made = f"{sender.__name__}({fields}).save('{name}')"
    return f'python -c "from {sender.__module__} import {sender.__name__}; {made}"'


def _senders() -> dict[str, Any]:
    """The types of notification blocks that Prefect brings along, by the name with which a block's own begins."""
    from prefect.blocks import notifications as found
    from prefect.blocks.abstract import NotificationBlock

    classes = [each for each in vars(found).values() if isinstance(each, type) and issubclass(each, NotificationBlock)]
    return {each.get_block_type_slug(): each for each in classes if "_block_type_name" in vars(each)}


def send_event(client: SyncPrefectClient, name: str, resource: str, payload: dict[str, Any]) -> str:
    """Send an event to the server at once; returns the event's id."""
    id_ = str(uuid4())
    event = {
        "id": id_,
        "occurred": datetime.now(UTC).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": resource},
        "payload": payload,
    }
    client.request("POST", "/events", json=[event]).raise_for_status()
    return id_


def try_notification(server: str, block: str) -> str:
    """Let the server send a message on trial, and wait for what comes of it; returns what to say.

    Raises:
        SettingsError: no block is named, or the server could not send it.
    """
    if not block:
        raise SettingsError("the setting notify.block names no block, so nothing can be sent")
    try:
        with temporary_settings({PREFECT_API_URL: server}), get_client(sync_client=True) as client:
            came = _outcome(client, send_event(client, TRIED, f"ytb-ads.notification.{uuid4()}", {"block": block}))
    except httpx.HTTPError as error:
        raise SettingsError(f"the Prefect server at {server} cannot be used: {error}") from error
    if came is None:
        raise SettingsError(
            f"notify.block = {block!r}: the server has sent nothing within {TRIAL_S:.0f} s; its own log says why"
        )
    if came.event.endswith(".failed"):
        why = came.payload.get("notification_log") or came.payload.get("reason")
        raise SettingsError(f"notify.block = {block!r}: the server cannot send through it: {why}")
    return f"notifications: one was sent through {block}; look whether it has arrived"


def _outcome(client: SyncPrefectClient, event: str) -> ReceivedEvent | None:
    """Outcome of the action that an event triggered; None if there is none in time."""
    deadline = time.monotonic() + TRIAL_S
    while time.monotonic() < deadline:
        of_event = EventFilter(  # it looks as far as to the moment at which it is made
            event=EventNameFilter(name=[f"prefect.automation.action.{end}" for end in ("executed", "failed")]),
            related=EventRelatedFilter(id=[f"prefect.event.{event}"]),
        )
        if found := client.read_events(of_event, limit=1).events:
            return found[0]
        time.sleep(0.5)
    return None

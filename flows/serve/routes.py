"""The addresses of the service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from markupsafe import Markup, escape
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

import annotation.web
from flows.serve.refusals import ErrorBody, Refusal
from flows.serve.schemas import Answers, Asked, Health, ModelFacts, Models
from flows.serve.service import Row, Service, while_waited_for

router = APIRouter()

_HERE = Path(__file__).parent
_STYLE = Path(annotation.web.__file__).parent / "static" / "style.css"
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": text}
    for status, text in {
        401: "No key of this server was named.",
        408: "The body did not arrive in time.",
        413: "More than the limits allow.",
        415: "Neither JSON nor a form.",
        422: "It cannot be read or judged.",
        503: "The server is busy; `Retry-After` says when to try again.",
        504: "No answer came in time.",
    }.items()
}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "picture": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    "text": {"type": "array", "items": {"type": "string"}, "description": "One per picture, or none."},
                    "video": {"type": "string", "format": "binary", "description": "Instead of pictures."},
                },
            }
        },
        "application/json": {"schema": {"$ref": "#/components/schemas/Asked"}},
    },
}


async def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Serving = Annotated[Service, Depends(_service)]


@router.post(
    "/v1/predict",
    response_model=Answers,
    responses=_REFUSALS,
    openapi_extra={"requestBody": _BODY},
    summary="Judge pictures with their words, or a video",
)
async def predict(request: Request, service: Serving, pictures: bool = False, why: bool = False) -> Response:
    """Answer a form with `picture` and `text` fields or with one `video`, or JSON with a list of `rows`.

    Without a text the words are read off the picture. `pictures=true` answers a video's frames as pictures, too;
    `why=true` says what the answer for a single picture, or for a video's surest frame, rests on.
    """
    service.refuse_if_full()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        rows = await _json_rows(request, service)
        return await _answer(request, service, rows, why)
    if kind != "multipart/form-data":
        raise Refusal(415, "media_type", "Send JSON (application/json) or a form (multipart/form-data).")
    form = await _form(request, service)
    try:
        video = _video(form)
        if video is None:
            return await _answer(request, service, await _form_rows(form, service), why)
        limits = service.limits
        work = service.video(video.file, video.filename or "", pictures=pictures, why=why)
        served, answer = await while_waited_for(request, work, limits.timeout_s + limits.video_timeout_s)
        request.state.note.update(model=served.name, frames=len(answer.frames))
        return _json(Answers(model=served.name, answers=[answer]))
    finally:
        await form.close()


@router.get("/v1/models", responses={401: _REFUSALS[401]}, summary="The model that answers")
async def models(service: Serving) -> Models:
    """Say which model answers, and which promoted one could not be loaded."""
    served = service.models.current
    checkpoint = served.predictor.checkpoint
    facts = ModelFacts(
        name=served.name,
        kind=checkpoint.name,
        classes=list(checkpoint.class_names),
        modalities=sorted(checkpoint.model.modalities),
        calibrated=bool(getattr(served.predictor, "calibration", None)),
        test=served.record.get("test"),
        loaded_at=served.loaded_at,
    )
    return Models(models=[facts], refused=service.models.refused)


@router.get("/healthz", responses={503: {"model": Health}}, summary="Whether the service answers")
async def healthz(service: Serving) -> Response:
    """200 while it answers, be it with an older model than the promoted one; 503 while no answer comes."""
    health = service.health()
    return _json(health, 503 if health.status == "stuck" else 200)


@router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
async def metrics(service: Serving) -> Response:
    """Answer all figures in Prometheus's text format."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/", include_in_schema=False)
async def page() -> Response:
    """The page for dropping an ad."""
    return FileResponse(_HERE / "static" / "index.html")


@router.get("/static/style.css", include_in_schema=False)
async def style() -> Response:
    """Colours and buttons, which the annotation's page has, too."""
    return FileResponse(_STYLE)


@router.get("/docs", include_in_schema=False)
async def docs(request: Request, service: Serving) -> Response:
    """The description of the addresses as a page, without a script."""
    template = request.app.state.templates.get_template("docs.html")
    return HTMLResponse(
        template.render(api=request.app.openapi(), address=service.limits.url, linked=_linked, coded=_coded)
    )


def _coded(text: str) -> Markup:
    """A description with what stands in backticks as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(text.split("`"))
    )


def _linked(schema: dict[str, Any]) -> Markup:
    """A type in words, with a link to where it is described."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "anyOf" in schema:
        return Markup(" or ").join(map(_linked, schema["anyOf"]))
    inner = schema.get("items") or schema.get("additionalProperties")
    return (
        Markup("{} of {}").format(schema["type"], _linked(inner))
        if isinstance(inner, dict)
        else escape(schema.get("type", "any"))
    )


async def _answer(request: Request, service: Service, rows: list[Row], why: bool) -> Response:
    served, answers = await while_waited_for(request, service.rows(rows, why=why), service.limits.timeout_s)
    request.state.note.update(model=served.name, rows=len(rows))
    return _json(Answers(model=served.name, answers=answers))


async def _json_rows(request: Request, service: Service) -> list[Row]:
    limit, body = service.limits.max_json_mb * 1_000_000, bytearray()
    too_long = Refusal(413, "too_long", f"More than {limit:,} bytes of JSON; send fewer rows, or a form.")
    if (stated := request.headers.get("content-length", "0")).isdigit() and int(stated) > limit:
        raise too_long
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_long
    try:
        asked = Asked.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        # names of ours alone: an unknown key may hold anything
        known = {"rows", "picture", "text"}
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part in known)
        fault = f"{place}: {first['type']}".removeprefix(": ").replace("_", " ")
        raise Refusal(422, "malformed", f"The JSON is not as /docs describes it: {fault}.") from None
    return [Row(row.picture, row.text) for row in asked.rows]


async def _form(request: Request, service: Service) -> FormData:
    most = service.limits.max_rows
    parser = MultiPartParser(
        request.headers,
        request.stream(),
        max_files=most,
        max_fields=most,
        max_part_size=4 * service.limits.max_text + 1,
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        many = "maximum" in error.message.lower()
        text = f"At most {most} pictures and texts of {service.limits.max_text:,} characters; send less at a time."
        if many:
            raise Refusal(413, "too_long", text) from None
        raise Refusal(422, "malformed", "The form is not multipart/form-data as RFC 7578 has it.") from None


def _video(form: FormData) -> UploadFile | None:
    if unknown := set(form) - {"picture", "text", "video"}:
        raise Refusal(422, "malformed", f"{len(unknown)} fields are none of picture, text and video.")
    given = form.getlist("video")
    if not given:
        return None
    [video, *more] = given
    if more or len(form.multi_items()) > 1 or not isinstance(video, UploadFile):
        raise Refusal(422, "malformed", "A video is one file, and the only field of its form.")
    return video


async def _form_rows(form: FormData, service: Service) -> list[Row]:
    pictures, texts = form.getlist("picture"), form.getlist("text")
    if not all(isinstance(each, UploadFile) for each in pictures) or not all(isinstance(each, str) for each in texts):
        raise Refusal(
            422, "malformed", "`picture` is a file and `text` is none; curl: -F picture=@ad.jpg -F text='...'."
        )
    if not pictures and not texts:
        raise Refusal(422, "malformed", "The form is empty; send `picture` and `text`, or `video`.")
    if pictures and texts and len(pictures) != len(texts):
        raise Refusal(
            422, "malformed", f"{len(pictures)} pictures and {len(texts)} texts; every picture needs its own."
        )
    number = max(len(pictures), len(texts))
    limit = service.limits.max_json_mb * 1_000_000
    if sum(each.size or 0 for each in pictures if isinstance(each, UploadFile)) > limit:
        raise Refusal(413, "too_long", f"More than {limit:,} bytes of pictures; send fewer at a time.")
    data = [await each.read() for each in pictures if isinstance(each, UploadFile)]
    return [
        Row(data[row] if data else None, str(texts[row]) if texts else None)  # both in their order
        for row in range(number)
    ]


def _json(body: Any, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type=JSONResponse.media_type)

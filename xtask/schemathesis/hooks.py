"""Keeps calls that should succeed to rules that JSON Schema has no words for; calls that should be refused stay as they are.

The descriptions in `/openapi.json` tell these rules: lengths in bytes of UTF-8, ids that fit into a room's name once they are
percent-encoded, and parameters of `/api/ws/metrics` that exclude each other.
"""

import schemathesis
from schemathesis import GenerationMode

DOMAIN = {"metric_update", "agent_status_change", "voice_clone_progress", "training_milestone", "clip_played"}
# Of an event, and of the data of a domain event: 128 bytes at most, which 32 characters never exceed; as a room's id, which 10 never do.
NAMES, NAMES_OF_DATA, NAME = ("type", "idempotencyKey"), ("metric", "status", "milestone", "clipId", "jobId"), 32
IDS, ID = ("userId", "agentId"), 10


def is_plain(text):
    return all(character.isascii() and (character.isalnum() or character in "_.@|+=~-") for character in text)


def shorten(fields, names, most):
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and not is_plain(value):
            fields[name] = value[:most]


def shorten_event(event):
    if not isinstance(event, dict):
        return
    shorten(event, NAMES, NAME)
    shorten(event, IDS, ID)
    data = event.get("data")
    if event.get("type") in DOMAIN and isinstance(data, dict):
        shorten(data, NAMES_OF_DATA, NAME)
        shorten(data, IDS, ID)


def agree(query):
    """Parameters that may stand together."""
    if "tz" in query:
        query.update(tz="Europe/Berlin", interval="1d")
    if query.get("format") == "csv":
        query.pop("limit", None)
        query.pop("cursor", None)
    if "cursor" in query:
        query["cursor"] = "0-1-1-1-"
    # Without an end the range ends now.
    begin, end = query.get("startDate"), query.get("endDate", "2026-01-01")
    if begin is not None and begin[:10] >= end[:10]:
        query["startDate"] = end[:10] if len(end) == 10 else end


@schemathesis.hook
def map_case(context, case):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return case
    if case.operation.path == "/api/ws/metrics" and case.query:
        agree(case.query)
    for event in case.body if isinstance(case.body, list) else [case.body]:
        shorten_event(event)
    return case

"""The Go2's motion switcher: which of the robot's own services moves its motors.

A request on `rt/api/motion_switcher/request` is answered on `.../response` with the same number. "Check mode" says in
JSON under `name` which service is active, "" where all were released.
"""

from __future__ import annotations

import json
import os
import time

from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic

from hardware.go2_dds import Node
from hardware.go2_messages import Identity, Request, RequestHeader, Response, ResponseHeader

REQUESTS, RESPONSES = "rt/api/motion_switcher/request", "rt/api/motion_switcher/response"
CHECK_MODE = 1001
PAUSE = 0.05  # [s] between two looks for an answer
AGAIN = 0.5  # [s] after which a request is repeated: it may have been made before the two had found one another


def active_service(node: Node, patience: float) -> str | None:
    """Name of the robot's service that moves the motors, "" where none does; None where nobody answers in time [s]."""
    requests = DataWriter(node.participant, Topic(node.participant, REQUESTS, Request))
    responses = DataReader(node.participant, Topic(node.participant, RESPONSES, Response))
    number, begin, asked = int.from_bytes(os.urandom(4), "little"), time.monotonic(), 0.0
    while (now := time.monotonic()) - begin < patience:
        if now - asked > AGAIN:
            asked = now
            requests.write(Request(RequestHeader(Identity(number, CHECK_MODE)), "{}"))
        for response in responses.take(8):
            if isinstance(response, Response) and response.header.identity.id == number:
                return str(json.loads(response.data or "{}").get("name", ""))
        time.sleep(PAUSE)
    return None


class MotionSwitcher:
    """The robot's side, for its emulator."""

    def __init__(self, node: Node) -> None:
        self._requests = DataReader(node.participant, Topic(node.participant, REQUESTS, Request))
        self._responses = DataWriter(node.participant, Topic(node.participant, RESPONSES, Response))

    def serve(self, name: str) -> None:
        """Answer what was asked since the last call; `name` is the active service."""
        for request in self._requests.take(8):
            if isinstance(request, Request) and request.header.identity.api_id == CHECK_MODE:
                data = json.dumps({"form": "0", "name": name})
                self._responses.write(Response(ResponseHeader(request.header.identity), data))

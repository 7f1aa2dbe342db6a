"""The layout file for Foxglove fits what the recorder writes."""

from __future__ import annotations

import json
import re
from importlib.resources import files

from robo_rl.cameras import Camera, spec_of
from robo_rl.log.layout import Layout
from robo_rl.log.schema import message_class
from robo_rl.spec import Feature, Spec

JOINTS = Feature((6,), names=tuple("abcdef"))


def layout_file() -> dict:
    return json.loads(files("robo_rl.log").joinpath("foxglove.json").read_text())


def test_every_panel_shows_a_channel_and_a_field_of_it() -> None:
    cameras = spec_of([Camera("front"), Camera("wrist")])
    layout = Layout(Spec({"joint_position": JOINTS}) | cameras, JOINTS, Spec({}), ("monotonic", "wall"))
    schemas = {channel.topic: channel.schema for channel in layout.channels}
    shown = re.findall(
        r'"(?:value|topicPath|topicToRender|imageTopic)": "([\w/]+)(?:\.(\w+))?', json.dumps(layout_file())
    )
    assert len(shown) > 20
    for topic, field in shown:
        assert topic in schemas, topic
        assert not field or field in message_class(schemas[topic]).DESCRIPTOR.fields_by_name, (topic, field)


def test_every_panel_is_placed_once() -> None:
    def leaves(node: dict | str) -> list[str]:
        return [node] if isinstance(node, str) else leaves(node["first"]) + leaves(node["second"])

    found = layout_file()
    assert sorted(leaves(found["layout"])) == sorted(found["configById"])

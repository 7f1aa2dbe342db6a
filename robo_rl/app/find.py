"""`robo-rl find`: serial ports and cameras of this machine, and the servos on a bus."""

from __future__ import annotations

import glob
import os
from pathlib import Path

import cv2
from omegaconf import DictConfig

from hardware.camera_sources import Device, SourceLost, find_cameras
from hardware.servo_scan import scan
from robo_rl.app import runs, session

PORTS = ("/dev/ttyACM*", "/dev/ttyUSB*")


def main(config: DictConfig) -> None:
    """Show them; with `pictures`, one picture of every camera, so that one sees which is which; with `bus`, the servos
    that answer there."""
    out, pictures = runs.made_folder(config.out), runs.made_folder(config.pictures, "pictures")
    if config.bus is not None:
        _servos(config, out)
        return
    ports, cameras = find_ports(), find_cameras()
    shown = [
        (port, "serial port" + ("" if _mine(port) else ": no permission, join the dialout group")) for port in ports
    ]
    for path, name in cameras:
        text = f"camera: {name}" + ("" if _mine(path) else ": no permission, join the video group")
        if pictures is not None:
            text += f"; {_picture(path, pictures)}"
        shown.append((path, text))
    session.show("find", shown or [("nothing", "no serial port and no camera on this machine")])
    if out is not None:
        found = {"ports": ports, "cameras": [{"path": path, "name": name} for path, name in cameras]}
        runs.write_json(out / "result.json", found)


def _servos(config: DictConfig, out: Path | None) -> None:
    """Ask every servo on a bus who it is. Nothing moves."""
    found = scan(str(config.bus), range(int(config.ids) + 1), float(config.patience))
    rows = [
        (f"{one.make} {one.id}", f"{one.name or 'unknown'}, model {one.model}, at {one.baudrate} baud") for one in found
    ]
    nobody = ("nobody", f"ids 0 to {config.ids}: no answer; check the arm's power, its cable, and ids=")
    session.show(f"find {config.bus}", rows or [nobody])
    if out is not None:
        result = {"bus": str(config.bus), "servos": [one._asdict() for one in found]}
        runs.write_json(out / "result.json", result)


def find_ports() -> list[str]:
    """Serial ports that a bus may be on."""
    return sorted(path for pattern in PORTS for path in glob.glob(pattern))


def _mine(path: str) -> bool:
    return os.access(path, os.R_OK | os.W_OK)


def _picture(path: str, folder: Path) -> str:
    """Where one picture of the camera lies, or why there is none."""
    camera, file = Device(path), folder / f"{Path(path).name}.png"
    try:
        camera.open()
        picture, _ = camera.read()
    except SourceLost as error:
        return str(error)
    finally:
        camera.close()
    return str(file) if cv2.imwrite(str(file), picture) else f"{file}: cannot be written"

"""A simulated world in the browser: geoms as meshes, one movable frame a body."""

from __future__ import annotations

import io
import socket
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any

import mujoco
import numpy as np

from robo_rl.errors import MissingExtra, UserError

GROUPS = 3  # geoms of these first groups are shown; the others are there for contacts
FLOOR = 1.0  # half size of a plane that has none [m]


def serve(host: str, port: int, label: str) -> Any:
    """A server of viser's page on exactly this address; `MissingExtra` or `UserError` where there can be none.

    Nothing in the page asks for another address: its button that publishes it through a relay is taken away.
    """
    try:
        import viser
    except ImportError as error:
        raise MissingExtra("viser", "view") from error
    _require_free(host, port)
    with _quiet():
        server = viser.ViserServer(host=host, port=port, label=label, verbose=False)
    server.gui.configure_theme(show_logo=False, show_share_button=False)
    return server


def close(server: Any) -> None:
    """Stop serving."""
    with _quiet():
        server.stop()


def _require_free(host: str, port: int) -> None:
    """Viser would take the next free port."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"host={host} port={port}: cannot be served on ({reason}); choose another port") from error


def _quiet() -> AbstractContextManager[Any]:
    """Viser prints a banner, and says when it stops."""
    return redirect_stdout(io.StringIO())


class Scene:
    """Shows the bodies of a model.

    Args:
        server: viser's.
        model: its geoms of the first groups are drawn.
        camera: the model's camera from which the page looks at first.
    """

    def __init__(self, server: Any, model: mujoco.MjModel, camera: str) -> None:
        self._server = server
        server.scene.set_up_direction("+z")
        self._aim(model, model.camera(camera).id)
        shown = [geom for geom in range(model.ngeom) if model.geom_group[geom] < GROUPS]
        self._frames = {
            body: server.scene.add_frame(f"/{body}_{model.body(body).name}", show_axes=False)
            for body in sorted({int(model.geom_bodyid[geom]) for geom in shown})
        }
        for geom in shown:
            self._add(model, geom)

    def show(self, poses: np.ndarray) -> None:
        """Move the bodies to positions [m] and quaternions w x y z in the world frame, (B, 7)."""
        with self._server.atomic():
            for body, frame in self._frames.items():
                frame.position, frame.wxyz = poses[body, :3], poses[body, 3:]

    def _aim(self, model: mujoco.MjModel, camera: int) -> None:
        view, data = self._server.initial_camera, mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        backwards = data.cam_xmat[camera].reshape(3, 3)[:, 2]
        view.position = tuple(data.cam_xpos[camera])
        view.look_at = tuple(data.cam_xpos[camera] - model.stat.extent * backwards)
        view.fov = float(np.radians(model.cam_fovy[camera]))

    def _add(self, model: mujoco.MjModel, geom: int) -> None:
        found = mesh(model, geom)
        if found is None:
            return
        rgba = colour(model, geom)
        self._server.scene.add_mesh_simple(
            f"{self._frames[int(model.geom_bodyid[geom])].name}/{geom}",
            *found,
            color=tuple(rgba[:3]),
            opacity=None if rgba[3] >= 1.0 else float(rgba[3]),
            flat_shading=True,
            side="double",
            position=model.geom_pos[geom],
            wxyz=model.geom_quat[geom],
        )


def colour(model: mujoco.MjModel, geom: int) -> np.ndarray:
    """Red, green, blue and opacity (4,) in 0..1."""
    material = int(model.geom_matid[geom])
    return model.geom_rgba[geom] if material < 0 else model.mat_rgba[material]


def mesh(model: mujoco.MjModel, geom: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices (V, 3) [m] in the geom's frame and triangles (F, 3) of its surface; None for a kind that has none."""
    import trimesh.creation as create

    kind, size = mujoco.mjtGeom(int(model.geom_type[geom])), model.geom_size[geom]
    if kind == mujoco.mjtGeom.mjGEOM_MESH:
        return _mesh(model, int(model.geom_dataid[geom]))
    if kind == mujoco.mjtGeom.mjGEOM_PLANE:
        sides = np.where(size[:2] > 0, size[:2], FLOOR)
        corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * [*sides, 1.0]
        return corners, np.array([[0, 1, 2], [0, 2, 3]])
    make = {
        mujoco.mjtGeom.mjGEOM_BOX: lambda: create.box(2 * size),
        mujoco.mjtGeom.mjGEOM_SPHERE: lambda: create.icosphere(2, size[0]),
        mujoco.mjtGeom.mjGEOM_ELLIPSOID: lambda: create.icosphere(2).apply_scale(size),
        mujoco.mjtGeom.mjGEOM_CYLINDER: lambda: create.cylinder(size[0], 2 * size[1], sections=24),
        mujoco.mjtGeom.mjGEOM_CAPSULE: lambda: create.capsule(2 * size[1], size[0], count=(16, 16)),
    }.get(kind)
    if make is None:
        return None
    made = make()
    return np.asarray(made.vertices), np.asarray(made.faces)


def _mesh(model: mujoco.MjModel, number: int) -> tuple[np.ndarray, np.ndarray]:
    start, count = int(model.mesh_vertadr[number]), int(model.mesh_vertnum[number])
    first, faces = int(model.mesh_faceadr[number]), int(model.mesh_facenum[number])
    return model.mesh_vert[start : start + count], model.mesh_face[first : first + faces]

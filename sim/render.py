"""Pictures of simulation rows, off screen; `robo_rl.app.rendering` chooses how before MuJoCo is imported."""

from __future__ import annotations

import atexit
import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import mujoco
import numpy as np

from robo_rl.errors import UserError
from sim.world import World

SAMPLES = 4  # a pixel, against jagged edges


@cache
def _gl() -> Any:
    """The one OpenGL context of the process; every painter draws in it. Raises `UserError` where there can be none."""
    try:
        context = mujoco.GLContext(64, 64)
    except Exception as error:  # whatever an OpenGL driver raises
        raise no_rendering(error) from error
    atexit.register(context.free)  # before MuJoCo, at exit too, ends the display that it belongs to
    return context


def no_rendering(error: Exception) -> UserError:
    """What to tell a user whose machine cannot render."""
    first = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return UserError(f"no rendering here ({first}); install libegl1 and libgl1, or a GPU driver")


class Painter:
    """Draws a model as it was posed last.

    Args:
        model: copied, so that looks may be changed in `model` of the painter.
        width, height: largest picture [px].
        shadows, samples: off and 0 where speed matters (together up to 30 times faster in software).

    Raises:
        UserError: this machine cannot render.
    """

    def __init__(
        self, model: mujoco.MjModel, width: int, height: int, shadows: bool = True, samples: int = SAMPLES
    ) -> None:
        self.model = copy.copy(model)
        self.model.vis.global_.offwidth, self.model.vis.global_.offheight = width, height
        self.model.vis.quality.offsamples = samples
        self.data = mujoco.MjData(self.model)
        self._scene = mujoco.MjvScene(self.model, maxgeom=10_000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._options, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._options.geomgroup[:] = [1, 1, 1, 0, 0, 0]
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        _gl().make_current()
        try:
            self._context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        except Exception as error:  # whatever an OpenGL driver raises
            raise no_rendering(error) from error

    def pose(self) -> None:
        """Put bodies, cameras and lights where the positions in `data` say."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def picture(self, camera: int, width: int, height: int) -> np.ndarray:
        """(height, width, 3) uint8 RGB, seen by a camera of the model."""
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._draw(camera, width, height), self._context)
        return pixels[::-1]

    def distance(self, width: int, height: int) -> np.ndarray:
        """(height, width) float64 [m] along the optical axis, of what `picture` drew last at this size."""
        depth = np.empty((height, width), np.float32)
        mujoco.mjr_readPixels(None, depth, mujoco.MjrRect(0, 0, width, height), self._context)
        extent = self.model.stat.extent
        near, far = self.model.vis.map.znear * extent, self.model.vis.map.zfar * extent
        return (near * far / (far - depth.astype(np.float64) * (far - near)))[::-1]

    def close(self) -> None:
        """Release what the driver holds. May be called twice."""
        if self._context is not None:
            _gl().make_current()
            self._context.free()
            self._context = None

    def _draw(self, camera: int, width: int, height: int) -> mujoco.MjrRect:
        _gl().make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)  # not another painter's
        self._camera.fixedcamid = camera
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self.model, self.data, self._options, None, self._camera, everything, self._scene)
        rectangle = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rectangle, self._scene, self._context)
        return rectangle


class WorldRenderer:
    """Renders rows of a world, or states that `World.save_state` returned, from a named camera.

    Args:
        world: gives the model and, for `rows`, the state.
        width, height: picture size [px].
        camera: camera name in the model.
        shadows: off where speed matters (13 times faster in software).
    """

    def __init__(
        self, world: World, width: int = 640, height: int = 480, camera: str = "front", shadows: bool = True
    ) -> None:
        self.world, self._size = world, (width, height)
        self._camera = world.model.camera(camera).id
        self._painter = Painter(world.model, width, height, shadows)

    def rows(self, rows: Sequence[int]) -> np.ndarray:
        """(K, height, width, 3) uint8, as the rows are now."""
        return self.states(self.world.save_state(np.asarray(rows)))

    def states(self, states: np.ndarray) -> np.ndarray:
        """(K, height, width, 3) uint8 of saved states (K, S)."""
        return np.stack([self._picture(state) for state in states])

    def _picture(self, state: np.ndarray) -> np.ndarray:
        painter = self._painter
        full = state[: self.world.batch.nstate]
        mujoco.mj_setState(painter.model, painter.data, full, mujoco.mjtState.mjSTATE_INTEGRATION)
        painter.pose()
        return painter.picture(self._camera, *self._size)

    def close(self) -> None:
        """Release the renderer. May be called twice."""
        self._painter.close()


def render(world: World, rows: Sequence[int], width: int = 640, height: int = 480, camera: str = "front") -> np.ndarray:
    """(K, height, width, 3) uint8 pictures of some rows; for more than one call keep a `WorldRenderer`."""
    renderer = WorldRenderer(world, width, height, camera)
    try:
        return renderer.rows(rows)
    finally:
        renderer.close()

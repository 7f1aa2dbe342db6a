"""Pictures of simulation rows. Off screen: set MUJOCO_GL=egl before MuJoCo is imported."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

from sim.world import World


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
        self.world, self.camera = world, camera
        self._renderer = mujoco.Renderer(world.model, height, width)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._options = mujoco.MjvOption()
        self._options.geomgroup[:] = [1, 1, 1, 0, 0, 0]
        self._data = mujoco.MjData(world.model)

    def rows(self, rows: Sequence[int]) -> np.ndarray:
        """(K, height, width, 3) uint8, as the rows are now."""
        return self.states(self.world.save_state(np.asarray(rows)))

    def states(self, states: np.ndarray) -> np.ndarray:
        """(K, height, width, 3) uint8 of saved states (K, S)."""
        return np.stack([self._picture(state) for state in states])

    def _picture(self, state: np.ndarray) -> np.ndarray:
        model, data = self.world.model, self._data
        mujoco.mj_setState(model, data, state[: self.world.batch.nstate], mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_camlight(model, data)
        self._renderer.update_scene(data, self.camera, self._options)
        return self._renderer.render()

    def close(self) -> None:
        """Release the renderer. May be called twice."""
        self._renderer.close()


def render(world: World, rows: Sequence[int], width: int = 640, height: int = 480, camera: str = "front") -> np.ndarray:
    """(K, height, width, 3) uint8 pictures of some rows; for more than one call keep a `WorldRenderer`."""
    renderer = WorldRenderer(world, width, height, camera)
    try:
        return renderer.rows(rows)
    finally:
        renderer.close()

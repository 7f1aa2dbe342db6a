"""so101/open_drawer: pull a drawer open by its knob.

A cabinet (80 x 90 mm, 50 mm tall) faces the arm; its closed drawer's knob stands in a 6 x 10 cm region centred at
(0.215, 0) m, the cabinet turned by up to 20 degrees about it. The knob is 20 mm wide and its centre 28 mm above the
table, 30 mm in front of the drawer; the drawer opens by 70 mm against 0.5 N of friction and 5 N.s/m of damping.
Success: open by at least 50 mm for 5 ticks in a row, within 8 s. Reward 1 at success, else 0.

Geometry, and why: the knob has the width at which the jaws' pads are parallel, and is gripped from above. With the
gripper pointing down the arm reaches 28 mm above the table up to 0.27 m from its pan axis; the region ends at 0.25 m,
and a drawer open by 50 mm brings the knob no closer than 0.13 m. The cabinet is a mocap body: posed for each episode,
and nothing moves it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import mujoco
import numpy as np

from robo_rl.types import Obs
from sim.models.table import Cabinet, add_cabinet, add_camera
from sim.poses import Slider
from sim.tasks.table_top import Place, TableConfig, TableTask, closeness, tool_distance
from sim.world import World


@dataclass(frozen=True)
class OpenDrawerConfig(TableConfig):
    """Frozen specification: a change of any number but limit and reward is a new task."""

    limit: float = 8.0  # [s]
    centre: tuple[float, float] = (0.215, 0.0)  # [m]
    region: tuple[float, float] = (0.06, 0.10)  # [m]
    yaw: float = np.pi / 9  # [rad], plus or minus
    cabinet: Cabinet = field(default_factory=Cabinet)
    opening: float = 0.050  # [m] that counts as open

    name: ClassVar[str] = "so101/open_drawer"
    bodies: ClassVar[tuple[str, ...]] = ("cabinet", "drawer")

    def furnish(self, spec: mujoco.MjSpec) -> None:
        add_cabinet(spec, "cabinet", "drawer", self.cabinet)
        add_camera(spec, "side", (0.30, -0.50, 0.30), (0.14, 0.0, 0.08))

    def places(self) -> Mapping[str, Place]:
        return {"cabinet": Place(self.centre, self.region, self.yaw)}


class OpenDrawer(TableTask):
    """The task on a world that holds the bodies "cabinet" and "drawer" (see the module's docstring)."""

    weights: Mapping[str, float] = {"reach": 0.01, "open": 0.02}

    def __init__(self, world: World, config: OpenDrawerConfig = OpenDrawerConfig()) -> None:
        super().__init__(world, config)
        self.config = config
        self._drawer = Slider(world, "drawer")

    def solved(self, obs: Obs) -> np.ndarray:
        return self._drawer.travel >= self.config.opening

    def terms(self, obs: Obs) -> dict[str, np.ndarray]:
        """The tool at the knob; the share of the opening that is reached."""
        knob, _ = self._drawer.pose()
        opened = np.clip(self._drawer.travel / self.config.opening, 0.0, 1.0)
        return {"reach": closeness(tool_distance(obs, knob)), "open": opened}

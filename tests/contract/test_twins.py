"""The simulated and the physical robot of one description are one robot to a policy."""

from __future__ import annotations

from pathlib import Path

from hardware.emulators.servo_arm import EmulatedTracker, ServoArm
from hardware.rig import DeviceRig
from robo_rl.robot import RobotDescription
from sim.tasks.insert_peg import make_rig

SO101 = Path(__file__).parents[2] / "configs" / "description" / "so101.yaml"
POSE = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


def test_the_twins_of_insert_peg_have_one_fingerprint() -> None:
    description = RobotDescription.load(SO101)
    simulated = make_rig(SO101, n=1)
    names = [key.removesuffix("_pose") for key in simulated.obs_spec if key.endswith("_pose")]
    physical = DeviceRig([ServoArm(description)], [EmulatedTracker(dict.fromkeys(names, POSE))])
    assert simulated.obs_spec.diff(physical.obs_spec) == []
    assert simulated.obs_spec.fingerprint() == physical.obs_spec.fingerprint()
    assert simulated.act_spec == physical.act_spec and simulated.dt == physical.dt
    simulated.close()

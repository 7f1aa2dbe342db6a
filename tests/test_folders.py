"""A folder is replaced as one, and a kill at any moment leaves one that is whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from robo_rl.folders import whole, write_folder


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "f", {"a": b"1", "b": b"2"})
    write_folder(tmp_path / "f", {"a": b"3"})
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "f").iterdir()} == {"a": b"3"}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment", range(1, 6))
def test_two_kills_leave_a_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """The second write is killed between its renames, the third at any of its steps."""
    folder, calls = tmp_path / "f", []
    assert whole(folder, "a") is None
    write_folder(folder, {"a": b"1"})

    def dies(at: int, name: str, owner: object) -> None:
        real = getattr(owner, name)

        def step(*args: object, **options: object) -> object:
            calls.append(name)
            if len(calls) == at:
                raise Killed
            return real(*args, **options)

        monkeypatch.setattr(owner, name, step)

    with monkeypatch.context() as patch:
        renames: list[str] = []
        real = Path.rename

        def second_dies(path: Path, target: Path) -> Path:
            renames.append(path.name)
            if len(renames) == 2:
                raise Killed
            return real(path, target)

        patch.setattr(Path, "rename", second_dies)
        with pytest.raises(Killed):
            write_folder(folder, {"a": b"2"})
    assert (whole(folder, "a") or folder) == tmp_path / "f.old"
    for name, owner in (("rmtree", shutil), ("mkdir", Path), ("rename", Path)):
        dies(moment, name, owner)
    try:
        write_folder(folder, {"a": b"3"})
    except Killed:
        assert len(calls) == moment
    found = whole(folder, "a")
    assert found is not None and (found / "a").read_bytes() in (b"1", b"3")

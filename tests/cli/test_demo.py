"""`steepest demo`: what it says is computed, and agrees with linear algebra and with NIST."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from steepest.cli import demo
from steepest.errors import FitError

NIST = Path(__file__).parents[1] / "nist" / "nonlinear" / "Chwirut2.json"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    said: list[str] = []
    demo.tell(str(folder), said.append)
    return "\n".join(said), folder


def numbers(text: str, row: str) -> list[float]:
    """The numbers in the first line that begins with `row`."""
    line = next(line for line in text.splitlines() if line.strip().startswith(row))
    found = []
    for word in line.strip().removeprefix(row).split():
        try:
            found.append(float(word))
        except ValueError:
            continue
    return found


def test_it_shows_the_result_of_the_notes_beside_the_pseudo_inverse(told: tuple[str, Path]) -> None:
    text, _ = told
    assert numbers(text, "gradient descent")[:3] == [1.00000367, 1.99999949, 2.99999516]
    assert numbers(text, "pseudo-inverse")[:3] == [1.0, 2.0, 3.0]
    assert numbers(text, "gauss-newton")[:3] == [1.0, 2.0, 3.0]


def test_it_says_why_with_condition_and_remaining_error(told: tuple[str, Path]) -> None:
    text = " ".join(told[0].split())
    matrix = np.array([[1, 1, 1], [1, 2, 1], [2, 2, 1], [2, 3, 1.0]])
    condition = np.linalg.cond(matrix) ** 2
    assert f"its condition is {condition:.1f}" in text
    assert numbers(told[0], "foretold") == numbers(told[0], "found")
    left = np.linalg.matrix_power(np.eye(3) - 0.01 * matrix.T @ matrix, 5_000) @ np.array([9.1, 13.1, -9.5])
    assert numbers(told[0], "found") == pytest.approx(left, rel=1e-3)


def test_the_rate_that_is_safe_for_the_mean_diverges_on_the_sum(told: tuple[str, Path]) -> None:
    rows = {line.split()[0]: line for line in told[0].splitlines() if line.strip().startswith(("sum ", "mean "))}
    assert "0.0640" in rows["sum"] and "diverged" in rows["sum"]
    assert "0.2558" in rows["mean"] and "off after" in rows["mean"]


def test_sgd_and_mini_batches_reach_the_plane(told: tuple[str, Path]) -> None:
    for row in ("SGD", "mini-batch of 2"):
        assert numbers(told[0], row)[:3] == pytest.approx([1, 2, 3], abs=1e-2)


def test_the_certified_constants_are_those_of_nist() -> None:
    problem = json.loads(NIST.read_text(encoding="utf-8"))
    assert [value for value, _ in demo.CERTIFIED.values()] == problem["certified"]
    assert [deviation for _, deviation in demo.CERTIFIED.values()] == problem["certified_sd"]
    assert problem["rss"] == demo.CERTIFIED_RSS
    assert list(demo.NIST_START.values()) == problem["start1"]


def test_the_measurements_agree_with_nist(told: tuple[str, Path]) -> None:
    section = told[0].partition("how many of them agree")[2]
    for name, (value, deviation) in demo.CERTIFIED.items():
        row = numbers(section, name)
        assert row[0] == pytest.approx(value, rel=1e-6)
        assert row[2] >= 6
        assert row[3] == pytest.approx(deviation, rel=1e-6)


def test_the_pictures_lie_in_the_folder_that_it_names(told: tuple[str, Path]) -> None:
    text, folder = told
    for name in ("fit.png", "paths.png", "loss.png"):
        picture = (folder / name).read_bytes()
        assert picture.startswith(PNG)
        assert len(picture) > 10_000
        assert str(folder / name) in text
    assert text.endswith(f"The pictures are in {folder}.")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FitError, match="cannot be made"):
        demo.tell(str(tmp_path / "file"), lambda _: None)

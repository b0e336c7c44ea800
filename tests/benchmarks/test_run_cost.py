"""What a run of the collection costs, against one `papermill` and one `nbconvert` command a report."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

REPORTS = 6
# The aim is a fifth; the bound leaves room for a noisy machine.
BOUND = 1 / 4

CELLS = (
    "import matplotlib.pyplot as plt\nimport numpy as np\nimport pandas as pd\nimport seaborn as sns\n"
    "import statsmodels.api as sm\nfrom lifelines import KaplanMeierFitter\nfrom tenure import report\n"
    "from tenure.result import Estimate, Table",
    "draw = np.random.default_rng(seed)\n"
    "frame = pd.DataFrame({'months': draw.geometric(0.05, 2000), 'left': draw.random(2000) < 0.8})",
    "curve = KaplanMeierFitter().fit(frame.months, frame.left)\n"
    "report.finding('stay.median', 'Half stay {value}.', Estimate(curve.median_survival_time_, unit='months'))",
    "report.table(curve.survival_function_.reset_index().head(12), caption='Survival')",
    "fit = sm.OLS(frame.months, sm.add_constant(frame.left.astype(float))).fit()\nfit.params",
    "figure, axes = plt.subplots()\nsns.histplot(frame.months, ax=axes)\n"
    "report.figure(report.Picture(lambda width: figure, 'Half leave early', 'A histogram of how long customers "
    "stay', Table(frame.head())))",
)


def spent(commands: list[list[str]], folder: Path) -> tuple[float, float]:
    """CPU and wall seconds of the commands and of all processes that they start."""
    environment = {**os.environ, "TENURE_ROOT": str(folder)}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for command in commands:
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.monotonic() - began


@pytest.mark.benchmark
def test_a_run_costs_a_fraction_of_single_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "notebooks"
    folder.mkdir()
    lines = ["reports:"]
    for number in range(REPORTS):
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        node = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
        node.cells.append(nbformat.v4.new_markdown_cell(f"# Report {number}"))
        tags = {"tags": ["parameters"]}
        node.cells.append(nbformat.v4.new_code_cell(f"seed: int = {number}  # the seed", metadata=tags))
        node.cells += [nbformat.v4.new_code_cell(cell) for cell in CELLS]
        nbformat.write(node, folder / f"r{number}.ipynb")
        lines.append(f"- {{name: r{number}, notebook: r{number}.ipynb}}")
    (folder / "runbook.yml").write_text("\n".join(lines), encoding="utf-8")

    run = [sys.executable, "-c", "from tenure.cli import main; main(['run', '--force'])"]
    alone = [
        command
        for number in range(REPORTS)
        for command in (
            [sys.executable, "-m", "papermill", "--no-progress-bar", "--cwd", str(folder),
             str(folder / f"r{number}.ipynb"), f"out{number}.ipynb"],
            [sys.executable, "-m", "nbconvert", "--to", "html", f"out{number}.ipynb"],
        )
    ]  # fmt: skip
    # Once beforehand, so that neither pays for caches that only the first program fills.
    spent([run], tmp_path)
    single_cpu, single_wall = spent(alone, tmp_path)
    run_cpu, run_wall = spent([run], tmp_path)
    assert len(list((tmp_path / "reports" / "latest").glob("r*.html"))) == REPORTS
    idle_cpu, _ = spent([[*run[:-1], run[-1].replace(", '--force'", "")]], tmp_path)
    with capsys.disabled():
        print(
            f"\n{REPORTS} reports, CPU seconds (wall): commands {single_cpu:.1f} ({single_wall:.1f}), "
            f"run {run_cpu:.1f} ({run_wall:.1f}), ratio {run_cpu / single_cpu:.3f}; "
            f"nothing changed {idle_cpu:.2f}"
        )
    assert run_cpu < BOUND * single_cpu
    assert idle_cpu < 1

"""Compare the score of 35_churn_risk on a demo company with the best that its features allow.

The best is a flexible model of the same features, learned on a company twenty times as large, of another seed:

    tenure demo big --customers 400000 --seed 2
    python tests/simulations/ceiling_risk.py data/demo big
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tenure.models import risk
from tenure.runs.notebook import is_parameters

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "35_churn_risk.ipynb"


def read(data: str) -> dict[str, Any]:
    """What the workbook knows of a company when it has its rows, and how its score did."""
    names: dict[str, Any] = {}
    given = {"data": str(Path(data).resolve()), "max_rows": 120_000}  # of eight days, no more than a million
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        exec("".join(cell["source"]).partition("found =")[0], names)
        if is_parameters(cell):
            names |= given
        if "rows" in names:
            return names
    raise ValueError("The notebook reads no rows.")


def main() -> None:
    small, large = (read(data) for data in sys.argv[1:3])
    dims = small["dims"]
    rows, many = (risk.prepared(names["rows"], dims) for names in (small, large))
    days = sorted(set(rows["on"]))
    print("day, customers, AUC of the score, of the best, and their ratio")
    for place in range(4, len(days) - 1):
        ours = risk.predict(small["rows"][small["rows"]["on"].isin(days[: place + 2])], dims).judged
        best = risk.fitted(many[many["on"].isin(days[:place])], dims, trees=True)
        judged = rows[rows["on"] == days[place]]
        aucs = [risk.auc(judged["left"], p) for p in (ours.rows["chance"], best.z(judged))]
        print(days[place], len(judged), *(f"{auc:.4f}" for auc in (*aucs, aucs[0] / aucs[1])), flush=True)


if __name__ == "__main__":
    main()

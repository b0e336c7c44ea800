from __future__ import annotations

from tenure.contract import BY_NAME, TABLES
from tenure.contract_page import contract_markdown
from tenure.paths import project_root


def test_the_page_in_data_is_the_one_the_contract_makes():
    page = (project_root() / "data" / "README.md").read_text(encoding="utf-8")
    assert page == contract_markdown(), "run `python -m tenure.contract_page`"


def test_the_page_names_every_table_column_and_value_allowed():
    sections = contract_markdown().split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections] == [table.name for table in TABLES]
    for table, section in zip(TABLES, sections, strict=True):
        for column in table.columns:
            row = next(line for line in section.split("\n") if line.startswith(f"| `{column.name}` |"))
            assert column.meaning in row
            assert all(f"`{value}`" in row for value in column.enum)
            assert ("**required**" in row) == (column.required and not column.nullable)


def test_keys_references_and_defaults_name_what_exists():
    for table in TABLES:
        assert set(table.key) <= set(table.column_names)
        assert len(set(table.column_names)) == len(table.columns)
        for column, target in table.references:
            assert column in table.column_names
            assert len(BY_NAME[target].key) == 1
        for column in table.columns:
            assert column.required or column.nullable or column.default is not None
            assert column.default is None or not column.enum or column.default in column.enum

"""What a reader sees: findings, figures, tables, and the pages made of them.

A notebook shows everything it says through this package; :func:`render` turns the executed notebook into one
HTML page, :func:`render_failure` does so for one that stopped, and :func:`index_page` lists the reports.
Importing it is cheap: plotting and notebook libraries are loaded by the functions that need them.
"""

from tenure.report.around import bar, label, with_bar
from tenure.report.exporter import checks_page, render, render_failure
from tenure.report.exports import export, publish_numbers, publish_table
from tenure.report.findings import Finding, finding, head_of, make_finding, read_findings, section, text
from tenure.report.format import set_locale
from tenure.report.index import index_page
from tenure.report.picture import Picture
from tenure.report.previous import previous_export
from tenure.report.scorecard import scorecard
from tenure.report.showing import checks, exclusions, figure, header, method
from tenure.report.summary import brief, claims_table, summarize, this_run
from tenure.report.tables import table
from tenure.report.terms import glossary

__all__ = [
    "Finding",
    "Picture",
    "bar",
    "brief",
    "checks",
    "checks_page",
    "claims_table",
    "exclusions",
    "export",
    "figure",
    "finding",
    "glossary",
    "head_of",
    "header",
    "index_page",
    "label",
    "make_finding",
    "method",
    "previous_export",
    "publish_numbers",
    "publish_table",
    "read_findings",
    "render",
    "render_failure",
    "scorecard",
    "section",
    "set_locale",
    "summarize",
    "table",
    "text",
    "this_run",
    "with_bar",
]

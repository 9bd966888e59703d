"""report.html: one file that asks nobody for anything, for a person on a screen, a phone or paper.

All that nodes say passes fit() on its way into the page, and Jinja escapes it. The page's policy lets its own style and
its own script work, by their hashes, and nothing else: https://www.w3.org/TR/CSP3/#framework-directive-source-list
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fleet.journal import utc
from fleet.report import chart, conclusion, curve, rows
from fleet.report.record import Run
from fleet.text import clean

PAGE = Path(__file__).parent / "page"
WIDTHS = (340, 720)  # of the curve: on a phone, and elsewhere
MOST = 2000  # characters of anything
CVE = re.compile(r"CVE-\d{4}-\d{4,19}", re.ASCII)


def as_bytes(run: Run) -> bytes:
    """Return the page of a run."""
    style, script = ((PAGE / name).read_text() for name in ("report.css", "report.js"))
    drawn = curve.of(run)
    certificates, safe = rows.certificates(run)
    page = _environment().get_template("report.html.j2").render(
        run=run, verdict=conclusion.verdict(run.outcomes, run.whom, run.exit_code, run.stopped),
        tone=rows.tone_of(run), counts=rows.counts(run.outcomes), troubles=rows.troubles(run.outcomes),
        curve=drawn, charts=[chart.draw(drawn, width) for width in WIDTHS] if drawn else [],
        services=rows.services(run.outcomes), actions=rows.actions(run.outcomes), nodes=rows.rows(run.outcomes),
        certificates=certificates, safe=safe,
        left=list(conclusion.follow_up(run.outcomes, map(rows.Described, run.described), run.environment, run.query)),
        began=f"{run.started:%Y-%m-%d %H:%M} UTC", took=rows.took(run), finished=run.finished and utc(run.finished),
        advisories=[(each, link(each), _title(run, each)) for each in run.advisories],
        style=Markup(style), script=Markup(script), style_hash=digest(style), script_hash=digest(script),  # noqa: S704
    )
    return page.encode(errors="replace")


def digest(text: str) -> Markup:
    """Return what a policy calls an inline style or script by: https://www.w3.org/TR/CSP3/#grammardef-hash-source"""
    found = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(f"'sha256-{found}'")  # noqa: S704 - base64


def link(advisory: str) -> str | None:
    """Return where the CVE list has an advisory, None for one that is no CVE."""
    return f"https://www.cve.org/CVERecord?id={advisory}" if CVE.fullmatch(advisory) else None


def fit(value: object) -> object:
    """Return what stands in an expression of the page, fit to be shown; what is markup was made here."""
    if value is None:
        return ""
    return clean(value, MOST) if isinstance(value, str) and not isinstance(value, Markup) else value


def _title(run: Run, advisory: str) -> str | None:
    return next((each["title"] for each in run.described if each.get("id") == advisory), None)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(PAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, finalize=fit,
    )

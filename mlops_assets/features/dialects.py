"""What a query may hold and still mean the same in every warehouse, and how some of it is said there.

sqlglot writes most scalars rightly, but several functions mean another thing in another dialect without its noticing: those are
translated here. What is not listed is refused by name, never guessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from mlops_assets.errors import MlopsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlglot import exp

Dialect = Literal["spark", "snowflake", "bigquery", "redshift", "postgres", "athena", "duckdb"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)

UNITS = {"to_seconds": "second", "to_minutes": "minute", "to_hours": "hour", "to_days": "day"}
PORTABLE = (
    "abs", "avg", "case", "cast", "ceil", "coalesce", "count", "exists", "floor", "greatest", "if", "least", "lower",
    "max", "min", "nullif", "row_number", "sum", "timestamp_trunc", "upper",
)  # fmt: skip
CONSTRUCTS = ("Qualify", "Lateral", "Unnest", "Pivot", "ILike", "Slice", "TableSample")

SUM = "{x} {sign} ({n}) * INTERVAL '1' {unit}"
LATER = {
    "snowflake": "DATEADD({unit}, {sign}({n}), {x})",
    "bigquery": "TIMESTAMP_ADD({x}, INTERVAL {sign}({n}) {unit})",
}
WEEKDAY = {  # 0 is Sunday, as in DuckDB
    "spark": "DAYOFWEEK({x}) - 1",
    "snowflake": "MOD(DAYOFWEEKISO({x}), 7)",
    "bigquery": "EXTRACT(DAYOFWEEK FROM {x}) - 1",
    "athena": "DAY_OF_WEEK({x}) % 7",
    "redshift": "CAST(EXTRACT(dow FROM {x}) AS INT)",
    "postgres": "CAST(EXTRACT(dow FROM {x}) AS INT)",
}
TEXT = "CAST({y} AS VARCHAR) || '-' || LPAD(CAST({m} AS VARCHAR), 2, '0') || '-' || LPAD(CAST({d} AS VARCHAR), 2, '0')"
DATE = {"postgres": "MAKE_DATE({y}, {m}, {d})", "redshift": f"CAST({TEXT} AS DATE)", "athena": f"CAST({TEXT} AS DATE)"}


class NotPortable(MlopsError):
    """The spine's query uses what a warehouse may not have, or may understand otherwise."""

    def __init__(self, dialect: str, constructs: Sequence[str]) -> None:
        super().__init__(
            f"SQL of the spine for {dialect}",
            found=", ".join(constructs),
            required="only what means the same there: columns, arithmetic, comparisons, casts, intervals, joins, "
            f"{', '.join(UNITS)} on the right of + or -, dayofweek, make_date, {', '.join(PORTABLE)}",
            remedy="Rewrite it, or keep the spine as a table in the warehouse and name it with --spine.",
        )


def unknown(tree: exp.Expr) -> Iterator[str]:
    """Yield what is not known to mean the same in every dialect."""
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, exp.Func):
            if not _is_known(node):
                yield node.sql("duckdb")
        elif construct := _construct(node):
            yield construct


def written(tree: exp.Expr, dialect: Dialect) -> str:
    """Return a query in a dialect.

    Raises:
        NotPortable: sqlglot says that the dialect lacks something.
    """
    from sqlglot import ErrorLevel, UnsupportedError, exp

    for node in reversed(list(tree.walk())):  # what is inside another comes first
        if (translated := _translated(node, dialect)) is not None:
            node.replace(translated)
    for name in tree.find_all(exp.Identifier):
        # A name that was never quoted is upper case in Snowflake; quoted so, a reserved word is fine too.
        name.set("this", name.name.upper() if dialect == "snowflake" else name.name)
    try:
        return tree.sql(dialect, identify=True, pretty=True, comments=False, unsupported_level=ErrorLevel.RAISE)
    except UnsupportedError as error:
        raise NotPortable(dialect, [" ".join(str(error).split())]) from error


def _is_known(node: exp.Func) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        is_added = isinstance(node.parent, exp.Add | exp.Sub) and node.arg_key == "expression"
        return is_added and _name(node) in UNITS
    return isinstance(node, exp.Connector | exp.DayOfWeek | exp.DateFromParts) or _name(node) in PORTABLE


def _name(node: exp.Func) -> str:
    from sqlglot import exp

    return (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()


def _construct(node: exp.Expr) -> str | None:
    from sqlglot import exp

    args = node.args
    found = {
        type(node).__name__.upper(): type(node).__name__ in CONSTRUCTS,
        f"{args.get('method')} JOIN": isinstance(node, exp.Join) and args.get("method"),
        f"a {args.get('kind')} window": isinstance(node, exp.WindowSpec) and str(args.get("kind")).upper() != "ROWS",
        "GROUP BY ALL": isinstance(node, exp.Group) and args.get("all"),
        "DISTINCT ON": isinstance(node, exp.Distinct) and args.get("on"),
        "* with EXCLUDE, REPLACE or RENAME": isinstance(node, exp.Star) and any(args.values()),
    }
    return next((name for name, is_found in found.items() if is_found), None)


def _translated(node: exp.Expr, dialect: Dialect) -> exp.Expr | None:
    """Return what stands for `node` in a dialect where sqlglot would write it wrongly, else None."""
    import sqlglot
    from sqlglot import exp

    if dialect == "duckdb":
        return None
    template, parts = None, dict[str, Any]()
    if isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Anonymous):
        template, is_call = LATER.get(dialect, SUM), dialect in LATER
        sign = "-" if isinstance(node, exp.Sub) else "" if is_call else "+"
        unit = UNITS[_name(node.expression)].upper()
        parts = {"x": node.this, "n": node.expression.expressions[0], "unit": unit, "sign": sign}
    elif isinstance(node, exp.DayOfWeek):
        template, parts = WEEKDAY[dialect], {"x": node.this}
    elif isinstance(node, exp.DateFromParts):
        template, parts = DATE.get(dialect), {"y": node.args["year"], "m": node.args["month"], "d": node.args["day"]}
    if template is None:
        return None
    texts = {name: part if isinstance(part, str) else part.sql(dialect) for name, part in parts.items()}
    return sqlglot.parse_one(template.format_map(texts), read=dialect)

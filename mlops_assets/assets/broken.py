"""The asset that stands where a definition file does not load."""

import dagster as dg


def broken_asset(name: str, error: str) -> dg.Definitions:
    """Return one asset `broken/<name>` that shows `error` and fails with it when materialised."""

    @dg.asset(
        key=["broken", name],
        group_name="broken",
        kinds={"error"},
        description=f"This definition does not load:\n\n```\n{error}\n```\n\nRun `mlops check` after mending it.",
    )
    def broken() -> None:
        raise dg.Failure(description=error, allow_retries=False)

    return dg.Definitions(assets=[broken])

"""`mlops serve` on the command line: a flag and a variable of the environment for each option of the server."""

import inspect
from typing import Annotated, Any, get_type_hints

import msgspec
import typer
from msgspec.inspect import Metadata, StructType, type_info

from mlops_assets.serving.options import ServerOptions

PREFIX = "MLOPS_SERVE_"
app = typer.Typer()


def run(
    host: Annotated[str, typer.Option(help="Address to listen on.", envvar=f"{PREFIX}HOST")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any.", envvar=f"{PREFIX}PORT")] = 8080,
    **options: Any,
) -> None:
    """Serve the routed version of every model over HTTP."""
    from mlops_assets.cli.serve import leave, serve

    try:
        checked = msgspec.convert(options, ServerOptions)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("$.")[2].rstrip("`").replace("_", "-")
        raise typer.BadParameter(str(error).partition(" - ")[0], param_hint=f"--{name}") from error
    leave(serve(host=host, port=port, options=checked))


def parameters() -> list[inspect.Parameter]:
    """Return one parameter for each option, as typer reads them."""
    info, types = type_info(ServerOptions), get_type_hints(ServerOptions)
    assert isinstance(info, StructType)
    made: list[inspect.Parameter] = []
    for field in info.fields:
        assert isinstance(field.type, Metadata)
        said = (field.type.extra_json_schema or {})["description"]
        option = typer.Option(help=said, envvar=f"{PREFIX}{field.name.upper()}")
        made.append(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=Annotated[types[field.name], option],
            )
        )
    return made


_named = [one for one in inspect.signature(run).parameters.values() if one.kind is not one.VAR_KEYWORD]
vars(run)["__signature__"] = inspect.Signature([*_named, *parameters()])
app.command("serve")(run)

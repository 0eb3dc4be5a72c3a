"""The options of the server on the command line and in the environment."""

import re
import socket
import subprocess
import sys

import msgspec
import pytest
from typer.testing import CliRunner

from mlops_assets.cli.app import app
from mlops_assets.cli.ports import CannotListen, listen
from mlops_assets.cli.serve import Exposed, require_apart, require_guarded
from mlops_assets.serving.options import ServerOptions
from tests.conftest import ROOT

FIELDS = [one.name for one in msgspec.structs.fields(ServerOptions)]
GUARDED = {"keys_file": "keys.json", "admin_port": 9000}


def test_every_option_is_a_flag_and_a_variable_that_the_environment_file_names():
    described = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "250"}).stdout
    explained = set(re.findall(r"^#MLOPS_SERVE_([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert explained == {name.upper() for name in FIELDS} | {"HOST", "PORT"}
    for name in FIELDS:
        assert f"--{name.replace('_', '-')} " in described
        assert f"MLOPS_SERVE_{name.upper()}]" in described


@pytest.mark.parametrize(
    ("given", "environ", "named"),
    [
        (["--workers", "0"], {}, "--workers"),
        (["--deadline-ms", "0"], {}, "--deadline-ms"),
        (["--deadline-ms", "inf"], {}, "--deadline-ms"),
        (["--lookup-ms", "nan"], {}, "--lookup-ms"),
        (["--admin-port", "70000"], {}, "--admin-port"),
        ([], {"MLOPS_SERVE_LOG": "sometimes"}, "MLOPS_SERVE_LOG"),
    ],
)
def test_a_value_that_cannot_be_is_named(given, environ, named):
    done = CliRunner().invoke(app, ["serve", *given], env=environ)

    assert done.exit_code == 2
    assert named in done.output


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_an_address_of_this_machine_alone_needs_no_guard(host):
    require_guarded(host, ServerOptions())


@pytest.mark.parametrize("missing", [{"keys_file": None}, {"admin_port": None}])
def test_an_address_that_others_reach_needs_keys_and_an_admin_port(missing):
    with pytest.raises(Exposed, match="--insecure"):
        require_guarded("0.0.0.0", ServerOptions(**(GUARDED | missing)))

    require_guarded("0.0.0.0", ServerOptions(**GUARDED))
    require_guarded("0.0.0.0", ServerOptions(**missing, insecure=True))


def test_an_admin_port_that_others_reach_needs_keys():
    with pytest.raises(Exposed, match=r"serving on 0\.0\.0\.0: found .* without API keys;"):
        require_guarded("127.0.0.1", ServerOptions(admin_host="0.0.0.0", admin_port=9000))

    require_guarded("127.0.0.1", ServerOptions(admin_host="0.0.0.0", **GUARDED))
    require_guarded("127.0.0.1", ServerOptions(admin_host="0.0.0.0"))


@pytest.mark.skipif(not socket.has_ipv6, reason="Python without IPv6")
def test_an_address_of_ipv6_is_listened_on():
    with listen("::1", 0, flag="--port") as listener:
        assert listener.getsockname()[0] == "::1"


def test_ports_of_one_number_on_two_addresses_are_refused():
    with socket.create_server(("127.0.0.1", 0)) as public, socket.create_server(("127.0.0.1", 0)) as other:
        require_apart(public, other)
        admin = socket.create_server(("127.0.0.2", public.getsockname()[1]))
        with admin, pytest.raises(CannotListen, match="the number of the public port"):
            require_apart(public, admin)


def test_the_command_line_loads_nothing_heavy():
    program = "import sys, mlops_assets.cli.app; print(*{'numpy', 'fastapi', 'uvicorn', 'prometheus_client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []

"""What a person writes about a REST API: how it is asked, how it knows us, where its rows and pages are.

Secrets are named here, never written: a name is looked up in the environment and in dlt's `secrets.toml`.
Keep out: heavy imports; definitions load this module.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from mlops_assets.contract.names import Name, Spec

SecretName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.]*$"),
    Field(
        description="Name of a secret: an environment variable, or a key of dlt's `secrets.toml`; never the secret itself.",
        examples=["SHOP_API_TOKEN"],
    ),
]


PAGING_KEYS = {
    "auto": (),
    "single_page": (),
    "page_number": ("page_param", "first_page", "total_path"),
    "offset": ("limit", "total_path"),
    "cursor": ("cursor_path", "cursor_param"),
    "json_link": ("next_url_path",),
    "header_link": (),
}
NEEDED_TO_PAGE = {"offset": ("limit",), "cursor": ("cursor_path", "cursor_param"), "json_link": ("next_url_path",)}
SECRET_NAMES = frozenset(
    {"authorization", "proxyauthorization", "cookie", "xapikey", "apikey", "accesstoken", "token", "password", "secret"}
)


def _without_secrets(values: dict[str, Any]) -> dict[str, Any]:
    if found := [name for name in values if "".join(filter(str.isalnum, name)).lower() in SECRET_NAMES]:
        raise ValueError(f"{', '.join(found)} must be under `auth`, by the name of a secret: this file is no secret")
    return values


class BearerAuth(Spec):
    """`Authorization: Bearer <token>`."""

    type: Literal["bearer"] = Field(description="Kind of authentication.")
    token: SecretName


class ApiKeyAuth(Spec):
    """A key in a header or in the query string."""

    type: Literal["api_key"] = Field(description="Kind of authentication.")
    key: SecretName
    name: str = Field(default="X-API-Key", description="Name of the header or parameter.")
    location: Literal["header", "query"] = Field(default="header", description="Where the key is sent.")


class BasicAuth(Spec):
    """User and password."""

    type: Literal["basic"] = Field(description="Kind of authentication.")
    username: SecretName
    password: SecretName


class OAuth2Auth(Spec):
    """A token from the client-credentials flow (RFC 6749, 4.4), fetched again when it expires."""

    type: Literal["oauth2_client_credentials"] = Field(description="Kind of authentication.")
    token_url: str = Field(description="Where the token is asked for.")
    client_id: SecretName
    client_secret: SecretName
    scope: str | None = Field(default=None, description="Scope to ask for.")


Auth = Annotated[BearerAuth | ApiKeyAuth | BasicAuth | OAuth2Auth, Field(discriminator="type")]


class Paginator(Spec):
    """How the next page is asked for; by default it is found out from the first answer."""

    type: Literal["auto", "single_page", "page_number", "offset", "cursor", "json_link", "header_link"] = Field(
        default="auto",
        description="auto: links to the next page are followed; without a link, an answer that shows signs of more "
        "pages is an error, and any other is the only page.",
    )
    page_param: str | None = Field(default=None, description="page_number: name of the parameter (`page`).")
    first_page: int = Field(default=1, description="page_number: number of the first page.")
    total_path: str | None = Field(default=None, description="page_number, offset: where the answer has the total.")
    limit: int | None = Field(default=None, gt=0, description="offset: rows per page.")
    cursor_path: str | None = Field(default=None, description="cursor: where the answer has the next cursor.")
    cursor_param: str | None = Field(default=None, description="cursor: name of the parameter.")
    next_url_path: str | None = Field(default=None, description="json_link: where the answer has the next address.")

    @model_validator(mode="after")
    def _complete(self) -> "Paginator":
        if misplaced := sorted(self.model_fields_set - {"type", *PAGING_KEYS[self.type]}):
            raise ValueError(f"paginator {self.type}: {', '.join(misplaced)} belong to another type")
        if missing := [key for key in NEEDED_TO_PAGE.get(self.type, ()) if getattr(self, key) is None]:
            raise ValueError(f"paginator {self.type} needs {', '.join(missing)}")
        return self


class RestIncremental(Spec):
    """Ask only for rows that are new: by a time, or any value that grows."""

    cursor: str = Field(description="Field of a row that grows, such as `updated_at`; its column must be declared.")
    start_param: str = Field(description="Parameter that asks for rows from a value on.", examples=["since"])
    end_param: str | None = Field(default=None, description="Parameter that asks for rows before a value.")
    initial: str | int | None = Field(default=None, description="Value of the very first load; none: without bound.")
    format: Literal["iso", "date", "epoch_seconds", "epoch_ms"] = Field(
        default="iso", description="How times are written in the parameters, and in the rows if they are numbers."
    )


class Endpoint(Spec):
    """One table of a REST API."""

    path: str = Field(description="Path below `base_url`.", examples=["v1/orders"])
    params: dict[str, str | int | float | bool] = Field(default={}, description="Fixed parameters.")
    data_selector: str | None = Field(default=None, description="JSONPath of the rows; none: found out.")
    paginator: Paginator = Field(default=Paginator(), description="How the next page is asked for.")
    incremental: RestIncremental | None = Field(default=None, description="Ask only for new rows.")

    _no_secrets = field_validator("params")(_without_secrets)


class RestApiSource(Spec):
    """A REST API that answers with JSON."""

    type: Literal["rest_api"] = Field(description="Kind of source.")
    base_url: str = Field(
        pattern=r"^https?://[^@?]+$", description="Address that the paths of the tables are below; no password in it."
    )
    headers: dict[str, str] = Field(default={}, description="Fixed headers; secrets belong under `auth`.")
    auth: Auth | None = Field(default=None, description="How the API knows us.")
    timeout_seconds: float = Field(default=60, gt=0, description="Longest wait for one answer.")
    max_attempts: int = Field(default=5, ge=1, description="Tries of one request after 429, 5xx or a lost connection.")
    tables: dict[Name, Endpoint] = Field(min_length=1, description="Where each table is.")

    _no_secrets = field_validator("headers")(_without_secrets)

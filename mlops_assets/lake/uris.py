"""Places in the lake: an absolute path on this machine, or a URI of an object store."""

from pathlib import Path
from urllib.parse import unquote

_LOCAL_SCHEME = "file://"


def join(root: str, *parts: str) -> str:
    """Return the place `parts` below `root`.

    >>> join("s3://bucket/dev", "raw", "shop", "orders")
    's3://bucket/dev/raw/shop/orders'
    """
    return "/".join([root.rstrip("/"), *(part.strip("/") for part in parts)])


def is_local(uri: str) -> bool:
    """Tell whether `uri` is on this machine's disk."""
    return "://" not in uri or uri.startswith(_LOCAL_SCHEME)


def local_path(uri: str) -> Path:
    """Return the path of a local `uri`.

    >>> str(local_path("file:///data/my%20lake"))
    '/data/my lake'
    """
    return Path(unquote(uri.removeprefix(_LOCAL_SCHEME)) if uri.startswith(_LOCAL_SCHEME) else uri)


def scheme(uri: str) -> str:
    """Return the scheme of a URI, such as `s3`."""
    return uri.partition("://")[0]

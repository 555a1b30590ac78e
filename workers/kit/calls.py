"""What NNCF refuses, in the farm's words."""

from collections.abc import Iterator
from contextlib import contextmanager

import nncf

from ovfarm.failures import FailureClass, FailureCode
from ovfarm.recipes import IgnoredScope
from workers.protocol import failed


def scope(ignored: IgnoredScope) -> nncf.IgnoredScope | None:
    """Return NNCF's ignored scope, or None when nothing is ignored."""
    if not (ignored.names or ignored.patterns or ignored.types):
        return None
    return nncf.IgnoredScope(
        names=list(ignored.names), patterns=list(ignored.patterns), types=list(ignored.types)
    )


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what NNCF raises about its parameters into failures that name them."""
    try:
        yield
    except nncf.ValidationError as refused:
        about_scope = "ignored" in str(refused).lower()
        raise failed(
            FailureClass.USER,
            FailureCode.IGNORED_SCOPE if about_scope else FailureCode.PARAMETER_REFUSED,
            "ignored_scope names nodes or types that this model does not have"
            if about_scope
            else "NNCF refused a parameter",
            hint="see the names in the model's graph" if about_scope else None,
            evidence=str(refused),
        ) from refused
    except (nncf.ParameterNotSupportedError, nncf.UnsupportedModelError) as refused:
        raise failed(
            FailureClass.USER,
            FailureCode.PARAMETER_REFUSED,
            f"NNCF refused it: {str(refused)[:300]}",
            evidence=str(refused),
        ) from refused

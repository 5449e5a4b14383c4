"""Secrets in the settings: given directly, or as the name of a block of the Prefect server."""

from __future__ import annotations

from typing import Annotated, Any, cast

from pydantic import AfterValidator, PlainSerializer, SecretStr

from flows.errors import SettingsError

BLOCK = "secret-block:"
"""Prefix of the name of a block of type Secret."""


class BlockSecret(SecretStr):
    """A secret in a block of the Prefect server; it is fetched when it is needed."""

    def get_secret_value(self) -> str:
        """Ask the server for the secret.

        Raises:
            SettingsError: the server does not answer or has no such block, or the block's value is not text.
        """
        import httpx
        from prefect.blocks.system import Secret
        from prefect.exceptions import PrefectException

        name = self._secret_value.removeprefix(BLOCK)
        try:
            held = cast(Any, Secret.load)(name, _sync=True).get()  # not a coroutine, within a flow of that kind either
        except (httpx.HTTPError, PrefectException, RuntimeError, ValueError) as error:
            raise SettingsError(
                f"{self._secret_value}: the Prefect server gives no such secret ({_first_line(error)}); save one by "
                f"`prefect block create secret` or in its pages, and name the server in PREFECT_API_URL"
            ) from None
        if not isinstance(held, str):
            raise SettingsError(f"{self._secret_value}: the block holds a {type(held).__name__}, expected a text")
        return held

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BlockSecret) and self._secret_value == other._secret_value

    def __hash__(self) -> int:
        return hash(self._secret_value)


def _or_block(secret: SecretStr) -> SecretStr:
    given = secret.get_secret_value()
    if not given.startswith(BLOCK):
        return secret
    if not given.removeprefix(BLOCK):
        raise ValueError(f"{BLOCK!r} is followed by the name of a block")
    return BlockSecret(given)


Secret = Annotated[
    SecretStr,
    AfterValidator(_or_block),
    # pydantic's own serializer asks for the value, which needs the server of the block
    PlainSerializer(lambda secret: "**********" if secret else "", when_used="json-unless-none"),
]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

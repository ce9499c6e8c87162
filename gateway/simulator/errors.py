"""OpenAI's error object, and the exception that becomes one.

Kept apart from `gateway.errors` on purpose, as the whole simulator is from `gateway.wire`: it stands
for somebody else's server, and a mistake shared by both sides would never show.
"""

from typing import Any


class ApiError(Exception):
    """An answer that is an error; `headers` go with it."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.param = param
        self.code = code
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

"""What analyzers, renderers and families have in common: a frozen pydantic model that compares and hashes by identity."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .errors import ContractError


class Plugin(BaseModel):
    """Fields are settings, each with a default. Two equal instances are two plugins (pluggy keeps plugins in sets)."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    class_attributes: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if taken := cls.class_attributes & set(cls.model_fields):
            names = ", ".join(sorted(taken))
            raise ContractError(
                f"{cls.__qualname__}: {names} belong to the class, not to its settings: assign without an annotation, `{names} = ...`"
            )
        if bare := [name for name, f in cls.model_fields.items() if f.is_required()]:
            raise ContractError(f"{cls.__qualname__}: setting {', '.join(bare)} has no default; write `{bare[0]}: ... = <default>`")

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

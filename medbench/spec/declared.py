"""The bases of records: of what a YAML file declares, and of what is resolved from it."""

import msgspec


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all that a YAML file declares: immutable, strict about unknown keys."""


class Resolved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of resolved records: immutable, strict, comparable."""

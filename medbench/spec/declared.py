"""The base of all that a YAML file declares."""

import msgspec


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all that a YAML file declares: immutable, strict about unknown keys."""

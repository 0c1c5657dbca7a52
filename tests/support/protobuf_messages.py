"""Message classes made from descriptors, by protobuf 3.20 and by newer ones."""

from __future__ import annotations

from typing import Any

from google.protobuf import message_factory


def message_class(descriptor: Any) -> Any:
    """Return the class of a message that only its descriptor tells of."""
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(descriptor.file.pool).GetPrototype(descriptor)

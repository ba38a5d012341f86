"""Classes of keyspace events: which event is in which, and how `notify-keyspace-events` names them."""

from __future__ import annotations

# Class letter -> the events in it, as Redis names them.
EVENTS = {
    "g": "del expire persist rename_from rename_to move_from move_to copy_to restore",
    "$": "set append setrange setbit incrby incrbyfloat",
    "l": "lpush rpush lpop rpop linsert lset lrem ltrim sortstore",
    "s": "sadd srem spop sinterstore sunionstore sdiffstore",
    "h": "hset hdel hincrby hincrbyfloat hexpire hexpired hpersist",
    "z": "zadd zincr zrem zremrangebyscore zremrangebyrank zremrangebylex zpopmin zpopmax zinterstore zunionstore "
    "zdiffstore zrangestore geosearchstore georadiusstore",
    "x": "expired",
    "e": "evicted",
    "t": "xadd xtrim xdel xsetid xgroup-create xgroup-setid xgroup-destroy xgroup-createconsumer xgroup-delconsumer",
    "d": "",
    "n": "new",
    "m": "keymiss",
}
CLASS_OF = {event: letter for letter, events in EVENTS.items() for event in events.split()} | {"pfadd": "$"}
IN_ALL = "g$lshzxetd"  # what `A` stands for
ORDER = "g$lshzxetdnKEm"  # in which CONFIG GET shows them
INVALID = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."


def parse_classes(text: str) -> str:
    """The classes without repetition and in canonical order, `A` written out. Raises ValueError."""
    letters = set(text.replace("A", IN_ALL))
    if not letters <= set(ORDER):
        raise ValueError(INVALID)
    return "".join(letter for letter in ORDER if letter in letters)


def classes_text(classes: str) -> str:
    """As CONFIG GET shows them."""
    if not set(IN_ALL) <= set(classes):
        return classes
    return "A" + "".join(letter for letter in classes if letter in "KEm")

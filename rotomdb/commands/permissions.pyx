"""Users as the dispatcher sees them: which commands, keys and channels each may use.

A user is a list of selectors; what one of them allows as a whole is allowed. A selector holds a bit for every command, so that
the check of a command is one look, and patterns for keys and channels. `unrestricted` is kept with the user: for one that may
do everything the dispatcher looks at nothing else. What the rules mean stands in `acl_rules`.
"""

from libc.string cimport memcpy, memset

from rotomdb.engine.glob cimport glob_match
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from rotomdb.commands.key_specs import FINDERS, find_keys
from rotomdb.commands.registry import Flag

READ = 1
WRITE = 2
DENIED_COMMAND, DENIED_KEY, DENIED_CHANNEL = "command", "key", "channel"
cdef list SEVERITY = [DENIED_COMMAND, DENIED_KEY, DENIED_CHANNEL]

cdef dict numbers = {}


def command_number(str name):
    """The place of a command, `container|subcommand` included, in the rows of bits: the same in the whole process."""
    number = numbers.setdefault(name, len(numbers))
    if number >= FUTURE:
        raise ValueError("there are more commands than selectors have bits")
    return number


cdef dict needs = {}                      # access of a key specification -> READ | WRITE


cdef int need_of(tuple access):
    """What somebody must be allowed to do with a key for it; -1: it is no key."""
    found = needs.get(access)
    if found is None:
        found = -1 if "not_key" in access else (
            (READ if "access" in access else 0) | (WRITE if {"insert", "update", "delete"} & set(access) else 0))
        needs[access] = found
    return found


cdef class Subject:
    """A command as its permissions see it."""

    def __init__(self, spec):
        self.spec = spec
        self.number = command_number(spec.name)
        self.always = bool(spec.flags & Flag.NO_AUTH)
        self.fixed = None
        if spec.name not in FINDERS and all(keys.stands_still for keys in spec.keys):
            self.fixed = tuple([(keys.first, keys.last, keys.step, need_of(keys.access)) for keys in spec.keys])

    cpdef list keys(self, list request):
        """The keys of a request: (position, what one must be allowed to do with it).

        A request whose keys cannot be told is malformed, and its command refuses it.
        """
        cdef list touched = []
        cdef int count = <int>len(request), first, last, step, need
        if self.fixed is None:
            for position, access in find_keys(self.spec.name, self.spec.keys, request) or ():
                if need_of(access) >= 0 and position < count:
                    touched.append((position, need_of(access)))
            return touched
        for first, last, step, need in self.fixed:
            if need >= 0:
                last = min(last if last >= 0 else count + last, count - 1)
                while first <= last:
                    touched.append((first, need))
                    first += step
        return touched

    cpdef list channels(self, list request):
        """The channels of a request: (position, whether it is a pattern)."""
        return [
            (position, "pattern" in place.access)
            for place in self.spec.channels for position in place.positions(request) or () if position < len(request)
        ]


cdef class Selector:
    """What one set of rules allows."""

    def __init__(self, bint all_channels=False):
        self.all_channels = all_channels
        self.keys = {}
        self.channels = {}
        self.first_words = {}
        self.rules = []

    def copy(self):
        cdef Selector other = Selector()
        memcpy(other.commands, self.commands, ROW_BYTES)
        other.all_commands = self.all_commands
        other.all_keys, other.all_channels = self.all_keys, self.all_channels
        other.keys, other.channels, other.rules = dict(self.keys), dict(self.channels), list(self.rules)
        other.first_words = {number: list(words) for number, words in self.first_words.items()}
        return other

    def allow_all_commands(self, bint allowed):
        memset(self.commands, 0xff if allowed else 0, ROW_BYTES)
        self.rules = []
        self.first_words = {}

    def allow_command(self, int number, bint allowed):
        if allowed:
            self.commands[number >> 3] |= <unsigned char>(1 << (number & 7))
        else:
            self.commands[number >> 3] &= <unsigned char>~(1 << (number & 7))

    def settle(self):
        """The rules have changed."""
        cdef int i
        self.all_commands = True
        for i in range(ROW_BYTES):
            if self.commands[i] != 0xff:
                self.all_commands = False

    def forget_first_words(self, int number):
        self.first_words.pop(number, None)

    cdef bint allows(self, int number) noexcept:
        return (self.commands[number >> 3] >> (number & 7)) & 1

    def allows_command(self, int number):
        return self.allows(number)

    @property
    def allows_future(self):
        """Whether its rules start from all commands."""
        return self.allows(FUTURE)

    cdef bint key_fits(self, bytes key, int need):
        for pattern, permitted in self.keys.items():
            if permitted & need == need and glob_match(
                    PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern), PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), False):
                return True
        return False

    cdef bint channel_fits(self, bytes channel, bint literal):
        if literal:
            return channel in self.channels
        for pattern in self.channels:
            if glob_match(PyBytes_AS_STRING(pattern), PyBytes_GET_SIZE(pattern), PyBytes_AS_STRING(channel),
                          PyBytes_GET_SIZE(channel), False):
                return True
        return False

    def permits_channel(self, bytes channel, bint literal):
        return self.all_channels or self.channel_fits(channel, literal)

    def any_key(self, int need):
        """Whether it may do this with whatever key there is."""
        return self.all_keys or self.keys.get(b"*", 0) & need == need

    cdef tuple denial(self, Subject subject, list request):
        """As User.denial, for this selector."""
        if not (self.all_commands or subject.always or self.allows(subject.number)):
            words = self.first_words.get(subject.number)
            if words is None or len(request) < 2 or request[1].lower() not in words:
                return DENIED_COMMAND, 0
        if not self.all_keys and subject.spec.keys:
            for position, need in subject.keys(request):
                if not self.key_fits(request[position], need):
                    return DENIED_KEY, position
        if not self.all_channels and subject.spec.channels:
            for position, literal in subject.channels(request):
                if not self.channel_fits(request[position], literal):
                    return DENIED_CHANNEL, position
        return None


cdef class User:
    """Who a client is: passwords and permissions. Clients hold the object itself, so that a change reaches them at once."""

    def __init__(self, bytes name not None, bint all_channels=False):
        self.name = name
        self.sanitize = True
        self.passwords = []
        self.selectors = [Selector(all_channels)]

    def copy(self):
        cdef User other = User(self.name)
        other.become(self)
        return other

    def become(self, User other not None):
        """Take over everything but the name."""
        self.enabled, self.nopass, self.sanitize = other.enabled, other.nopass, other.sanitize
        self.passwords = list(other.passwords)
        self.selectors = [selector.copy() for selector in other.selectors]
        self.settle()

    def settle(self):
        """The rules have changed."""
        for selector in self.selectors:
            selector.settle()
        self.unrestricted = any(each.all_commands and each.all_keys and each.all_channels for each in self.selectors)

    @property
    def shown(self):
        """The name inside texts."""
        return self.name.decode("latin-1")

    cpdef tuple denial(self, Subject subject, list request):
        """(reason, position of the word that is denied) where no selector allows the request, else None.

        Of several reasons the one counts that comes closest to being allowed.
        """
        cdef tuple worst = (DENIED_COMMAND, 0), found
        cdef Selector selector
        if self.unrestricted:
            return None
        for selector in self.selectors:
            found = selector.denial(subject, request)
            if found is None:
                return None
            if (SEVERITY.index(found[0]), found[1]) > (SEVERITY.index(worst[0]), worst[1]):
                worst = found
        return worst

    def reads_any_key(self, Subject subject not None, list request):
        """Whether a selector that allows the request lets it read whatever key there is."""
        cdef Selector selector
        for selector in self.selectors:
            if selector.any_key(READ) and selector.denial(subject, request) is None:
                return True
        return False

    def knows_key(self, bytes key):
        """Whether there is anything that it may do with the key."""
        cdef Selector selector
        for selector in self.selectors:
            if selector.all_keys or selector.key_fits(key, 0):
                return True
        return False

    def permits_channel(self, bytes channel, bint literal):
        """Whether any selector lets it listen there."""
        return any(selector.permits_channel(channel, literal) for selector in self.selectors)

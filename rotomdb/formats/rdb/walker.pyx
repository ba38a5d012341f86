"""Walking an RDB for the tools, record by record: the keys that are wanted go to a sink, the others are walked over."""

from libc.stdint cimport int64_t, uint64_t

from rotomdb.engine.keyspace cimport NO_EXPIRE
from rotomdb.formats.rdb.format cimport DRAGONFLY_TYPE_FIRST, RDB_NEVER_USED, RDB_RATE_LIMIT, RDB_TYPE_LAST
from rotomdb.formats.rdb.record cimport has_control_characters, record_key
from rotomdb.formats.rdb.selection cimport Selection
from rotomdb.formats.rdb.values cimport RdbValues
from rotomdb.formats.sinks.sink cimport ValueSink

from rotomdb.errors import RdbValueError


cdef class RdbWalker(RdbValues):
    """Walks a buffer record by record. What is no key record is left to the caller (reader.py)."""

    @property
    def database(self):
        """That the records are in."""
        return self.record.database

    @database.setter
    def database(self, uint64_t index):
        self.record.database = index

    @property
    def start(self):
        """Of the record in hand."""
        return self.record.start

    @property
    def value_start(self):
        return self.record.value_start

    @property
    def key(self):
        """The key of the record in hand."""
        return record_key(&self.record)

    @property
    def expires_at(self):
        """When that key expires, in ms; None: never."""
        return None if self.record.expire_ms == NO_EXPIRE else self.record.expire_ms

    cdef bint find_record(self) except -1:
        """Read up to the next value: True. False: an opcode, in `reading_type`."""
        cdef const char* key
        cdef size_t key_length
        self.reset_attributes()
        if 0 <= self.record.type <= RDB_TYPE_LAST:
            self.previous_start = self.record.start
        self.record.type = -1
        self.record.start = self.cursor.position
        self.record.type = self.key_attributes()
        if self.record.type > RDB_TYPE_LAST:
            return False
        if self.record.type == RDB_NEVER_USED or self.record.type == RDB_RATE_LIMIT:
            self.corrupt(b"unknown value type", self.cursor.position - 1)
            self.fail()
        if self.dragonfly and self.record.type >= DRAGONFLY_TYPE_FIRST:
            self.unsupported(b"value type of Dragonfly, which nobody else reads", self.cursor.position - 1)
            self.fail()
        if not self.text(0, &key, &key_length):
            self.fail()
        self.begin_key(key, key_length)
        self.record.value_start = self.cursor.position
        self.keys += 1
        if self.record.expire_ms != NO_EXPIRE:
            self.expires += 1
            self.expired += self.record.expire_ms < self.now_ms
        return True

    cdef int take_value(self, ValueSink sink) except -1:
        sink.record = &self.record
        self.selected += 1
        self.strange_keys += has_control_characters(&self.record)
        sink.begin_key()
        try:
            if not self.visit_value(sink):
                self.fail()
            self.record.end = self.cursor.position
            sink.end_key()
        except RdbValueError:
            sink.abandon_key()
            self.reading_key = self.key
            raise
        finally:
            sink.record = NULL            # a sink may outlive the walk
        return 0

    cdef bint is_wanted(self, Selection selection) except -1:
        """The walker stands at the value, before and after."""
        cdef bint matches = selection.matches_record(&self.record)
        if matches and selection.asks_size():
            if not self.skip_value(self.record.type):
                self.fail_in_key()
            matches = selection.fits(self.cursor.position - self.record.start)
            self.cursor.position = self.record.value_start
        return matches != selection.exclude

    def next_record(self, Selection selection=None):
        """Go to the next record; returns its type, or an opcode (above RDB_TYPE_LAST) whose payload is not read yet.

        The value is for the caller: `revisit` as often as it likes, then `finish_record`.
        """
        while self.find_record() and selection is not None and not self.is_wanted(selection):
            self.finish_record()
        return self.record.type

    def revisit(self, ValueSink sink not None):
        """Hand the value of the record in hand to the sink."""
        self.cursor.position = self.record.value_start
        self.take_value(sink)

    def finish_record(self):
        """Go behind the value of the record in hand."""
        if self.cursor.position == self.record.value_start and not self.skip_value(self.record.type):
            self.fail_in_key()

    def walk(self, ValueSink sink, Selection selection, int64_t limit, size_t byte_limit):
        """Hand the values of the next records to the sink.

        Args:
            sink: None to walk over the values without a look at their inside.
            selection: None for all.
            limit, byte_limit: Stop after so many records, or bytes.

        Returns:
            The opcode met (its payload not read yet), or -1 when the limit was reached.

        Raises:
            RdbValueError: damage; `reading_key` and `reading_type` tell where.
        """
        cdef size_t begun = self.cursor.position
        for _ in range(limit):
            if self.cursor.position - begun > byte_limit:
                break
            if not self.find_record():
                return self.record.type
            if sink is None or (selection is not None and not self.is_wanted(selection)):
                if not self.skip_value(self.record.type):
                    self.fail_in_key()
            else:
                self.take_value(sink)
        return -1

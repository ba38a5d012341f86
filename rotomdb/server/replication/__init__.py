"""Replication: one history of commands, and the servers that follow it.

    identity.py     which history it is, and up to where it is also an older one
    backlog.py      its last bytes, which all replicas are sent from
    replicas.py     the replicas of this server, and what each has got
    copies.py       the full copies that they begin with
    link.py         the way to the master: conversation.py greets it, transfer.py takes its copy, master_client.pyx its history
    replication.py  what holds these together and what commands ask of it

**The stream is pure.** Replicas get the commands of the propagation stream and nothing of what the log has between them, and
offsets count those bytes only. A position is the number of bytes that come before it; `PSYNC` counts from one.
"""

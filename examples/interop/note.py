# SPDX-License-Identifier: MIT
"""The note, and shared memory that this process does not own.

Python's resource tracker removes, when the process ends, every shared memory object that
the process created or opened, whoever else uses it. Since 3.13 track=False forbids that;
before, the object is to be taken from the tracker's list by hand.
"""
import struct
from multiprocessing import resource_tracker, shared_memory

NOTE = struct.Struct("=I60s")  # as struct note in note.h


def shared(name, create=False):
    arguments = {"name": name, "create": create, "size": NOTE.size if create else 0}
    try:
        return shared_memory.SharedMemory(**arguments, track=False)
    except TypeError:  # Python before 3.13
        memory = shared_memory.SharedMemory(**arguments)
        resource_tracker.unregister("/" + memory.name, "shared_memory")
        return memory

/* SPDX-License-Identifier: MIT */
#include <weir/offset.h>

#include <stddef.h>

void *weir_offset_address(struct weir_space space, uint64_t offset, uint64_t size_bytes,
                          uint64_t align)
{
    if (offset == 0 || offset > space.size_bytes || size_bytes > space.size_bytes - offset)
        return NULL;
    uintptr_t address = (uintptr_t)space.base + (uintptr_t)offset;
    return (address & (align - 1)) == 0 ? (void *)address : NULL;
}

uint64_t weir_offset_of(struct weir_space space, const void *address)
{
    uintptr_t at = (uintptr_t)address, base = (uintptr_t)space.base;
    return at > base && at - base < space.size_bytes ? at - base : 0;
}

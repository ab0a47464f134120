/* SPDX-License-Identifier: MIT */
#include "bytes.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "command.h"
#include "size.h"

#define CHUNK_BYTES (UINT64_C(1) << 20)

int bytes_option(struct bytes_range *range, int option, const char *argument)
{
    switch (option) {
    case 'l':
        range->has_length = true;
        return size_option("--length", argument, &range->length) ? 1 : -1;
    case 'o':
        return size_option("--offset", argument, &range->offset) ? 1 : -1;
    case 'x':
        range->hex = true;
        return 1;
    default:
        return 0;
    }
}

int bytes_fit(struct bytes_range *range, const char *object, uint64_t size_bytes)
{
    if (range->offset > size_bytes)
        return command_fail("offset %" PRIu64 " is behind the end of '%s', which has %" PRIu64
                            " bytes",
                            range->offset, object, size_bytes);
    uint64_t room = size_bytes - range->offset;
    if (range->has_length && range->length > room)
        return command_fail("%" PRIu64 " bytes from offset %" PRIu64 " are more than '%s' has: "
                            "%" PRIu64 " bytes, of which %" PRIu64 " from there",
                            range->length, range->offset, object, size_bytes, room);
    if (!range->has_length)
        range->length = room;
    return STATUS_OK;
}

bool bytes_put(int file, const void *data, uint64_t length)
{
    const unsigned char *bytes = data;
    while (length > 0) {
        ssize_t written = write(file, bytes, length < CHUNK_BYTES ? length : CHUNK_BYTES);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        length -= (uint64_t)written;
    }
    return true;
}

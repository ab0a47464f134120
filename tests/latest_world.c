/* SPDX-License-Identifier: MIT */
#include "latest_world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include "fixture.h"

struct weir_latest_options latest_options(uint64_t value_bytes_max, uint32_t buffers,
                                          uint32_t holds)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    options.value_bytes_max = value_bytes_max;
    options.buffers = buffers;
    options.holds = holds;
    return options;
}

static void *map_file(struct world *world, uint64_t size_bytes)
{
    if (world->kind == POSIX_SHM) {
        world->fd = shm_open("/weir-test-latest", O_RDWR | O_CREAT | O_EXCL, 0600);
        shm_unlink("/weir-test-latest");
    } else {
        world->fd = memfd_create("latest", MFD_CLOEXEC);
    }
    assert_true(world->fd >= 0);
    assert_int_equal(ftruncate(world->fd, (off_t)size_bytes), 0);
    return mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, world->fd, 0);
}

static void *map_segment(uint64_t size_bytes)
{
    int id = shmget(IPC_PRIVATE, size_bytes, IPC_CREAT | 0600);
    void *memory = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    return memory;
}

void world_make(struct world *world, enum kind kind, const struct weir_latest_options *options)
{
    *world = (struct world){ .kind = kind, .options = *options, .fd = -1 };
    assert_result(weir_latest_bytes(options, &world->memory), 0);
    uint64_t size_bytes = world->memory.values_bytes + world->memory.readers_bytes;
    void *memory = kind == SYSTEM_V    ? map_segment(size_bytes)
                   : kind == INHERITED ? mmap(NULL, size_bytes, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                                       : map_file(world, size_bytes);
    assert_true(memory != MAP_FAILED && memory != (void *)-1);
    world->memory.values = memory;
    if (world->memory.readers_bytes > 0)
        world->memory.readers = (char *)memory + world->memory.values_bytes;
}

void world_open(struct world *world, enum kind kind, const struct weir_latest_options *options)
{
    world_make(world, kind, options);
    assert_result(weir_latest_init(&world->memory, options), 0);
}

void world_close(struct world *world)
{
    if (world->kind == SYSTEM_V)
        shmdt(world->memory.values);
    else
        munmap(world->memory.values, world->memory.values_bytes + world->memory.readers_bytes);
    if (world->fd >= 0)
        close(world->fd);
}

static unsigned char byte_of(uint64_t number, uint64_t at)
{
    return (unsigned char)(at < 8 ? number >> 8 * at : number * 31 + at * 7);
}

void value_fill(void *bytes, uint64_t size_bytes, uint64_t number)
{
    for (uint64_t at = 0; at < size_bytes; at++)
        ((unsigned char *)bytes)[at] = byte_of(number, at);
}

uint64_t value_number(const void *bytes, uint64_t size_bytes)
{
    uint64_t number = 0;
    memcpy(&number, bytes, size_bytes < 8 ? size_bytes : 8);
    for (uint64_t at = 0; at < size_bytes; at++)
        if (((const unsigned char *)bytes)[at] != byte_of(number, at))
            return UINT64_MAX;
    return number;
}

void value_pair_open(struct value_pair *pair, const struct weir_latest_options *options)
{
    world_open(&pair->world, INHERITED, options);
    assert_result(weir_latest_writer_open(&pair->writer, &pair->world.memory), 0);
    assert_result(weir_latest_reader_open(&pair->reader, &pair->world.memory), 0);
}

void value_pair_close(struct value_pair *pair)
{
    weir_latest_writer_close(pair->writer);
    weir_latest_reader_close(pair->reader);
    world_close(&pair->world);
}

void value_write(struct weir_latest_writer *writer, uint64_t number, uint64_t size_bytes)
{
    static unsigned char bytes[VALUE_BYTES_MAX];
    value_fill(bytes, size_bytes, number);
    assert_result(weir_latest_write(writer, bytes, size_bytes), 0);
}

void value_expect(struct weir_latest_reader *reader, uint64_t number, uint64_t size_bytes)
{
    static unsigned char bytes[VALUE_BYTES_MAX];
    struct weir_latest_value value;
    assert_result(weir_latest_read(reader, bytes, sizeof bytes, &value), 0);
    assert_int_equal(value.size_bytes, size_bytes);
    assert_int_equal(value_number(bytes, size_bytes), number);
    assert_int_equal(weir_latest_version(reader), value.version);
}

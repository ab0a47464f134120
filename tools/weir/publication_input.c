/* SPDX-License-Identifier: MIT */
/* What 'weir pub' publishes: files, or standard input, once or again and again. */
#include "publication.h"

#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "text.h"

/* What --repeat keeps of standard input. */
#define KEPT_BYTES_MAX ((uint64_t)256 << 20)

/* All messages of one file. */
static int publish_file(struct publication *publication, const char *path, enum input_form form)
{
    struct input input;
    const unsigned char *data;
    size_t size;
    int more = 1;
    int status = input_open(&input, path, form, publication->request->ring, publication->most);
    while (status == STATUS_OK && (more = input_next(&input, &data, &size)) > 0)
        status = publication_send(publication, data, size);
    if (more < 0)
        status = STATUS_FAILURE;
    input_close(&input);
    return status;
}

/* Standard input, as it stands in memory: each message behind its length. */
struct kept {
    unsigned char *bytes;
    size_t used, capacity;
};

static int keep(struct kept *kept, const unsigned char *data, size_t size)
{
    size_t wanted = kept->used + sizeof size + size;
    if (wanted > KEPT_BYTES_MAX)
        return command_fail("standard input has more than the 256 MiB that --repeat keeps in "
                            "memory: give FILEs, which are read anew each time");
    if (wanted > kept->capacity) {
        kept->capacity = wanted > KEPT_BYTES_MAX / 2 ? KEPT_BYTES_MAX : 2 * wanted;
        kept->bytes = text_memory(realloc(kept->bytes, kept->capacity));
    }
    memcpy(kept->bytes + kept->used, &size, sizeof size);
    memcpy(kept->bytes + kept->used + sizeof size, data, size);
    kept->used = wanted;
    return STATUS_OK;
}

static int keep_all(const struct publication *publication, enum input_form form, struct kept *kept)
{
    struct input input;
    const unsigned char *data;
    size_t size;
    int more = 1;
    int status = input_open(&input, "-", form, publication->request->ring, publication->most);
    while (status == STATUS_OK && (more = input_next(&input, &data, &size)) > 0)
        status = keep(kept, data, size);
    input_close(&input);
    return more < 0 ? STATUS_FAILURE : status;
}

static int publish_kept(struct publication *publication, const struct kept *kept)
{
    int status = STATUS_OK;
    size_t at = 0, size;
    while (status == STATUS_OK && at < kept->used) {
        memcpy(&size, kept->bytes + at, sizeof size);
        status = publication_send(publication, kept->bytes + at + sizeof size, size);
        at += sizeof size + size;
    }
    return status;
}

static int publish_repeated(struct publication *publication)
{
    struct kept kept = { .bytes = NULL };
    int status = keep_all(publication, publication->request->form, &kept);
    for (uint64_t turn = 0; status == STATUS_OK && turn < publication->request->repeat; turn++) {
        if (kept.used == 0)
            break;
        status = publish_kept(publication, &kept);
    }
    free(kept.bytes);
    return status;
}

/* Whether standard input stands among the files for more than once: its bytes come once alone. */
static bool is_input_repeated(const struct publication_request *request)
{
    uint64_t times = 0;
    for (char **file = request->files; *file; file++)
        times += input_is_standard(*file) ? request->repeat : 0;
    return times > 1;
}

static int publish_files(struct publication *publication)
{
    const struct publication_request *request = publication->request;
    struct kept kept = { .bytes = NULL };
    bool is_kept = is_input_repeated(request);
    int status = is_kept ? keep_all(publication, INPUT_WHOLE, &kept) : STATUS_OK;
    for (uint64_t turn = 0; turn < request->repeat && status == STATUS_OK; turn++)
        for (char **file = request->files; *file && status == STATUS_OK; file++)
            status = is_kept && input_is_standard(*file)
                         ? publish_kept(publication, &kept)
                         : publish_file(publication, *file, INPUT_WHOLE);
    free(kept.bytes);
    return status;
}

int publication_send_all(struct publication *publication)
{
    if (*publication->request->files)
        return publish_files(publication);
    if (publication->request->repeat > 1)
        return publish_repeated(publication);
    return publish_file(publication, "-", publication->request->form);
}

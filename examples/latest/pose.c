/* SPDX-License-Identifier: MIT */
/*
 * Where a robot stands: one process writes it, three read it, and the writer is killed twice.
 *
 * The readers see a place that is whole at every moment, also while there is no writer; each place
 * is on the circle, so a mixture of two would be seen. Memory that fork hands on: no name.
 */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weir/weir.h>

enum { READERS = 3, WRITERS = 3 };

struct pose {
    double x, y, angle;
};

static struct weir_latest_memory memory;

static void check(int result)
{
    if (result < 0) {
        fprintf(stderr, "%s\n", weir_last_error());
        exit(1);
    }
}

static void drive(void)
{
    struct weir_latest_writer *writer;
    void *room;
    int result = weir_latest_writer_open(&writer, &memory);
    check(result);
    if (result == WEIR_OWNER_DIED)
        puts("a new writer goes on for one that was killed");
    fflush(stdout);
    for (double angle = 0;; angle += 0.001) {
        check(weir_latest_loan(writer, &room));
        *(struct pose *)room = (struct pose){ cos(angle), sin(angle), angle };
        check(weir_latest_commit(writer, sizeof(struct pose)));
    }
}

static void follow(void)
{
    struct weir_latest_reader *reader;
    struct pose pose;
    unsigned long count = 0;
    check(weir_latest_reader_open(&reader, &memory));
    check(weir_latest_wait_until(reader, 0, weir_deadline_ns(10 * WEIR_SECOND_NS)));
    int64_t until_ns = weir_deadline_ns(WEIR_SECOND_NS / 2);
    while (weir_now_ns() < until_ns) {
        check(weir_latest_read(reader, &pose, sizeof pose, NULL));
        if (fabs(pose.x - cos(pose.angle)) > 1e-9 || fabs(pose.y - sin(pose.angle)) > 1e-9) {
            puts("torn!");
            exit(1);
        }
        count++;
    }
    printf("a reader saw %s places, none torn\n", count > 1000 ? "thousands of" : "some");
    weir_latest_reader_close(reader);
    exit(0);
}

int main(void)
{
    struct weir_latest_options options = WEIR_LATEST_OPTIONS;
    int failed = 0, status;
    options.value_bytes_max = sizeof(struct pose);
    check(weir_latest_bytes(&options, &memory));
    char *shared = mmap(NULL, memory.values_bytes + memory.readers_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    memory.values = shared;
    memory.readers = shared + memory.values_bytes;
    check(weir_latest_init(&memory, &options));
    for (int i = 0; i < READERS; i++)
        if (fork() == 0)
            follow();
    struct weir_latest_reader *reader;
    check(weir_latest_reader_open(&reader, &memory));
    for (int i = 0; i < WRITERS; i++) {
        uint64_t before = weir_latest_version(reader);
        pid_t writer = fork();
        if (writer == 0)
            drive();
        do /* until it is well on its way */
            usleep(100000);
        while (weir_latest_version(reader) < before + 1000);
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
    }
    for (int i = 0; i < READERS; i++)
        failed |= wait(&status) < 0 || status != 0;
    weir_latest_reader_close(reader);
    return failed;
}

/* SPDX-License-Identifier: MIT */
#include "doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/magic.h>

#include <weir/inspect.h>

#include "size.h"
#include "text.h"

/* What docker gives a container unless asked for more. */
#define SMALL_SHM_BYTES (UINT64_C(64) << 20)

static void check_dev_shm(struct doctor *doctor)
{
    struct statfs kind;
    struct statvfs use;
    if (statfs("/dev/shm", &kind) != 0 || statvfs("/dev/shm", &use) != 0) {
        doctor_tell(doctor, DOCTOR_PROBLEM, "/dev/shm",
                    "sudo mkdir -p /dev/shm && sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
                    "%s: names cannot be kept there, nor POSIX segments made", strerror(errno));
        return;
    }
    uint64_t total_bytes = (uint64_t)use.f_blocks * use.f_frsize;
    uint64_t free_bytes = (uint64_t)use.f_bavail * use.f_frsize;
    char *larger = text_format("weir list -p; sudo mount -o remount,size=%" PRIu64 "M /dev/shm",
                               (total_bytes >> 19) + 1);
    char *total = size_format(total_bytes);
    char *free_text = size_format(free_bytes);
    if (kind.f_type != TMPFS_MAGIC)
        doctor_tell(doctor, DOCTOR_WARNING, "/dev/shm",
                    "sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm",
                    "it is no tmpfs: POSIX segments there are files on a disk, and names outlive "
                    "a restart");
    else if (use.f_flag & ST_RDONLY)
        doctor_tell(doctor, DOCTOR_PROBLEM, "/dev/shm", "sudo mount -o remount,rw /dev/shm",
                    "it is mounted read-only: no name can be made there, nor a POSIX segment");
    else if (total_bytes != 0 && (free_bytes == 0 || (use.f_files != 0 && use.f_favail == 0)))
        doctor_tell(doctor, DOCTOR_PROBLEM, "/dev/shm", larger,
                    "all of its %s are in use: nobody can make a name there, and POSIX programs "
                    "die of SIGBUS",
                    total);
    else if (total_bytes != 0 && free_bytes < total_bytes / 10)
        doctor_tell(doctor, DOCTOR_WARNING, "/dev/shm", larger, "%s of %s are left", free_text,
                    total);
    else if (total_bytes != 0 && total_bytes <= SMALL_SHM_BYTES)
        doctor_tell(doctor, DOCTOR_NOTE, "/dev/shm",
                    "sudo mount -o remount,size=1G /dev/shm    (docker run --shm-size=1g)",
                    "%s in all: weir's segments are not bounded by it, POSIX ones are", total);
    else
        doctor_tell(doctor, DOCTOR_OK, "/dev/shm", NULL, "%s of %s are left", free_text, total);
    free(larger);
    free(total);
    free(free_text);
}

struct posix_use {
    uint64_t count, resident_bytes;
};

static int visit(const struct weir_object *object, void *argument)
{
    struct posix_use *use = argument;
    if (strcmp(object->kind, "posix") == 0 && object->uid == geteuid()) {
        use->count++;
        use->resident_bytes += object->resident_bytes;
    }
    return 0;
}

/* Whether somebody still wants them nobody can know: they are shown, and never removed for it. */
static void check_posix(struct doctor *doctor)
{
    struct posix_use use = { 0, 0 };
    if (weir_inspect(WEIR_OBJECT_POSIX, visit, &use) < 0)
        return;
    char *size = size_format(use.resident_bytes);
    if (use.count > 0)
        doctor_tell(doctor, DOCTOR_NOTE, "POSIX segments",
                    "weir list -p; weir info posix:/NAME; weir rm posix:/NAME",
                    "%" PRIu64 " of yours take %s of memory until they are removed: nobody counts "
                    "who has them mapped",
                    use.count, size);
    else
        doctor_tell(doctor, DOCTOR_OK, "POSIX segments", NULL, "none of yours takes any memory");
    free(size);
}

/* A number of /proc/meminfo; -1 when it is not there. */
static long meminfo(const char *key)
{
    char line[128];
    long value = -1;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && value < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0 && line[strlen(key)] == ':')
            value = atol(line + strlen(key) + 1);
    if (file)
        fclose(file);
    return value;
}

static bool has_capability(int number)
{
    char line[128];
    unsigned long long effective = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "CapEff: %llx", &effective) == 1)
            break;
    if (file)
        fclose(file);
    return effective >> number & 1;
}

/* Whether this process is in the group, or has it as its own. */
static bool in_group(gid_t group)
{
    gid_t groups[256];
    int count = getgroups(256, groups);
    for (int i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return getegid() == group;
}

static void check_huge_pages(struct doctor *doctor)
{
    long total = meminfo("HugePages_Total"), available = meminfo("HugePages_Free");
    char group[32] = "0", cure[96];
    doctor_read_file("/proc/sys/vm/hugetlb_shm_group", group, sizeof group);
    if (total < 0) {
        doctor_tell(doctor, DOCTOR_NOTE, "huge pages", NULL,
                    "this kernel has none; weir falls back to normal ones");
        return;
    }
    snprintf(cure, sizeof cure, "sudo sysctl -w vm.hugetlb_shm_group=%u", (unsigned)getegid());
    if (total == 0)
        doctor_tell(doctor, DOCTOR_NOTE, "huge pages", "sudo sysctl -w vm.nr_hugepages=64",
                    "none are reserved (vm.nr_hugepages=0); --huge falls back");
    else if (!has_capability(CAP_IPC_LOCK) && !in_group((gid_t)strtoul(group, NULL, 10)))
        doctor_tell(doctor, DOCTOR_NOTE, "huge pages", cure,
                    "%ld of %ld are free, but for the group %s alone (vm.hugetlb_shm_group)",
                    available, total, group);
    else
        doctor_tell(doctor, DOCTOR_OK, "huge pages", NULL, "%ld of %ld of %ld KiB are free",
                    available, total, meminfo("Hugepagesize"));
}

static void check_transparent(struct doctor *doctor)
{
    char setting[128];
    if (!doctor_read_file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", setting,
                          sizeof setting)) {
        doctor_tell(doctor, DOCTOR_NOTE, "transparent", NULL,
                    "this kernel has no transparent huge pages for shared memory");
        return;
    }
    char *chosen = strchr(setting, '[');
    chosen = chosen ? chosen + 1 : setting;
    chosen[strcspn(chosen, "]")] = '\0';
    if (strcmp(chosen, "never") == 0 || strcmp(chosen, "deny") == 0)
        doctor_tell(doctor, DOCTOR_NOTE, "transparent",
                    "echo advise | sudo tee /sys/kernel/mm/transparent_hugepage/shmem_enabled",
                    "transparent huge pages are off for shared memory (shmem_enabled=%s)", chosen);
    else
        doctor_tell(doctor, DOCTOR_OK, "transparent", NULL,
                    "transparent huge pages are on for shared memory (shmem_enabled=%s)", chosen);
}

static void check_memlock(struct doctor *doctor)
{
    struct rlimit limit;
    if (has_capability(CAP_IPC_LOCK)) {
        doctor_tell(doctor, DOCTOR_OK, "memlock", NULL,
                    "as much memory as there is may be locked (CAP_IPC_LOCK)");
        return;
    }
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY) {
        doctor_tell(doctor, DOCTOR_OK, "memlock", NULL, "as much memory as there is may be locked");
        return;
    }
    char *most = size_format(limit.rlim_cur);
    doctor_tell(doctor, DOCTOR_NOTE, "memlock",
                limit.rlim_max > limit.rlim_cur
                    ? "ulimit -l $(ulimit -H -l)"
                    : "echo \"$USER - memlock unlimited\" | sudo tee "
                      "/etc/security/limits.d/weir.conf    (and log in again)",
                "%s may be locked in memory by each process (RLIMIT_MEMLOCK)", most);
    free(most);
}

void doctor_check_memory(struct doctor *doctor)
{
    check_dev_shm(doctor);
    check_posix(doctor);
    check_huge_pages(doctor);
    check_transparent(doctor);
    check_memlock(doctor);
}

/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_DOCTOR_H
#define WEIR_TOOL_DOCTOR_H

/* The checks of 'weir doctor'. Each looks and changes nothing; none creates an object, but that whether a
 * name can be made is tried with one that is gone at once. */

#include "table.h"

enum doctor_level {
    DOCTOR_OK,      /* as it should be */
    DOCTOR_NOTE,    /* good to know: something is not there, and weir does without */
    DOCTOR_WARNING, /* will hurt sooner or later */
    DOCTOR_PROBLEM, /* hurts now */
};

/* The columns of a finding. */
enum doctor_field { DOCTOR_LEVEL, DOCTOR_NAME, DOCTOR_FINDING, DOCTOR_CURE, DOCTOR_FIELDS };

struct doctor {
    struct table table;
    enum doctor_level worst;
};

/* What a finding is about; cure is the command to type, NULL: none is needed. */
void doctor_tell(struct doctor *doctor, enum doctor_level level, const char *name, const char *cure,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The first bytes of a small file without its newline; false when it cannot be read. */
bool doctor_read_file(const char *path, char *text, size_t capacity);

/* doctor_sysv.c: limits of System V IPC and their use, the namespace, who is left over */
void doctor_check_sysv(struct doctor *doctor);
/* doctor_logind.c: RemoveIPC */
void doctor_check_logind(struct doctor *doctor);
/* doctor_memory.c: /dev/shm, huge pages, locked memory */
void doctor_check_memory(struct doctor *doctor);
/* doctor_kernel.c: what this kernel has and allows */
void doctor_check_kernel(struct doctor *doctor);
/* doctor_names.c: the run directory */
void doctor_check_names(struct doctor *doctor);

#endif

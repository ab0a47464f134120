/* SPDX-License-Identifier: MIT */
/*
 * Puts the told calls in the place of the plain ones. The headers that hearts
 * use are included first, so that their own #include lines do nothing:
 *
 *     #define main rmid_main
 *     static int rmid_main(void);
 *     #include "heart.h"
 *     #include "../../../examples/textbook/rmid.c"
 *     #include "heart_end.h"
 *
 * No guard: it may be included again after heart_end.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "scene.h"

#define ftok(path, project) scene_ftok(path, project)
#define shmget(key, size, flags) scene_shmget(key, size, flags)
#define shmat(id, address, flags) scene_shmat(id, address, flags)
#define shmdt(address) scene_shmdt(address)
#define shmctl(id, command, ds) scene_shmctl(id, command, ds)
#define semget(key, count, flags) scene_semget(key, count, flags)
#define semop(id, operations, count) scene_semop(id, operations, count)
#define semctl(...) scene_semctl(__VA_ARGS__)
#define fork() scene_fork_told()
#define wait(status) scene_wait(status)
#define waitpid(pid, status, options) scene_waitpid(pid, status, options)
#define kill(pid, signal) scene_kill(pid, signal)
#define sleep(seconds) scene_sleep(seconds)
#define strcpy(to, from) scene_strcpy(to, from)
#define printf(...) scene_printf(__VA_ARGS__)
#define puts(line) scene_puts(line)
#define perror(what) scene_perror(what)
#define exit(status) scene_exit(status)
#define _exit(status) scene_exit(status)

/* SPDX-License-Identifier: MIT */
#ifndef WEIR_TOOL_CALLS_H
#define WEIR_TOOL_CALLS_H

/*
 * The textbook's calls, each made for real and told of: with --explain its
 * arguments and result, and what it changed in the kernel. Results and errno are
 * the kernel's. heart.h puts them in the place of the calls in a heart.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/types.h>

key_t scene_ftok(const char *path, int project);
int scene_shmget(key_t key, size_t size_bytes, int flags);
void *scene_shmat(int id, const void *address, int flags);
int scene_shmdt(const void *address);
int scene_shmctl(int id, int command, struct shmid_ds *ds);
int scene_semget(key_t key, int count, int flags);
int scene_semop(int id, struct sembuf *operations, size_t count);
int scene_semctl(int id, int index, int command, ...);
pid_t scene_fork_told(void);
pid_t scene_wait(int *wait_status);
pid_t scene_waitpid(pid_t pid, int *wait_status, int options);
int scene_kill(pid_t pid, int signal);
unsigned int scene_sleep(unsigned int seconds);
char *scene_strcpy(char *to, const char *from);
int scene_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
int scene_puts(const char *line);
void scene_perror(const char *what);

/* While true, the calls of this process are made and not told of. */
void scene_mute(bool muted);

/* A call that has no wrapper, told after it was made: "munmap(0x7f…, 4096)", "0". */
void scene_told(const char *call, const char *result);

/* Objects that are removed at the end; the wrappers do it by themselves. */
void scene_watch_segment(int id);
void scene_watch_semset(int id);

/*
 * For objects that no wrapper makes: from before the making until it is watched,
 * so that no signal that ends the scene comes in between. No other wrapper inside.
 */
void scene_making_begin(void);
void scene_making_end(void);

/* The state of a segment in the midst of a step: shmid_ds, maps, ipcs; with --explain only. */
void scene_show_segment(int id);

#endif

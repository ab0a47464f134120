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
#include <stdint.h>
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

/* The same with a result of weir's mutexes and conditions: "0", "WEIR_OWNER_DIED", "-EPERM". */
void scene_told_weir(const char *call, int result);

/*
 * For an object under key that no wrapper makes, around the making: it is removed
 * at the end, and no signal that ends the scene comes in between. key IPC_PRIVATE:
 * weir has its own ways to find it again. No other wrapper inside.
 */
int scene_making_segment(key_t key);
int scene_making_semset(key_t key);
void scene_making_end(int place, int id); /* id -1: there is none */

/* The same for one of weir's sets by name, until it is removed: the number in SCENE_SET_NAME. */
uint32_t scene_named_set_begin(void);
void scene_named_set_end(void);

/* A key that nobody has at this moment. */
key_t scene_fresh_key(void);

/* The state of a segment in the midst of a step: shmid_ds, maps, ipcs; with --explain only. */
void scene_show_segment(int id);

#endif

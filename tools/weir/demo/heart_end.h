/* SPDX-License-Identifier: MIT */
/* The end of a heart: the calls are the plain ones again. */
#undef ftok
#undef shmget
#undef shmat
#undef shmdt
#undef shmctl
#undef semget
#undef semop
#undef semctl
#undef fork
#undef wait
#undef waitpid
#undef kill
#undef sleep
#undef strcpy
#undef printf
#undef puts
#undef perror
#undef exit
#undef _exit
#undef main

/* Preloaded into a process, it sees a time of day that is SECONDS_AHEAD off, as on a machine whose clock is wrong:
   the monotonic clock and the times of files are as they are. The program faketime (0.9.10) does not do: with the
   monotonic clock left alone, it breaks the sleep of Python 3.11, and Ray does not start. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Deadlines by a monotonic clock are seconds since the machine was started: none reaches the year 2001. */
#define IS_TIME_OF_DAY(deadline) ((deadline)->tv_sec > 1000000000)
#define REAL(name, found) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))(found)

static long ahead(void) {
  static long seconds;
  static int known;
  if (!known) {
    const char *said = getenv("SECONDS_AHEAD");
    seconds = said ? atol(said) : 0;
    known = 1;
  }
  return seconds;
}

static struct timespec kernels(const struct timespec *deadline) { /* a deadline, as the kernel's clock has it */
  struct timespec found = *deadline;
  if (IS_TIME_OF_DAY(deadline)) found.tv_sec -= ahead();
  return found;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime, dlsym(RTLD_NEXT, "clock_gettime"));
  int failed = real(clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += ahead();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(gettimeofday, dlsym(RTLD_NEXT, "gettimeofday"));
  int failed = real(now, zone);
  if (!failed) now->tv_sec += ahead();
  return failed;
}

time_t time(time_t *kept) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (kept) *kept = now.tv_sec;
  return now.tv_sec;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict t) {
  REAL(pthread_cond_timedwait, dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2"));
  if (!real) real = (__typeof__(real))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec deadline = kernels(t);
  return real(c, m, &deadline);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict t) {
  REAL(sem_timedwait, dlsym(RTLD_NEXT, "sem_timedwait"));
  struct timespec deadline = kernels(t);
  return real(semaphore, &deadline);
}

long syscall(long number, ...) {
  REAL(syscall, dlsym(RTLD_NEXT, "syscall"));
  va_list given;
  long a[6];
  va_start(given, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(given, long);
  va_end(given);
  if (number == SYS_clock_gettime) return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
  if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && (a[1] & FUTEX_CLOCK_REALTIME) && a[3]) {
    struct timespec deadline = kernels((const struct timespec *)a[3]);
    return real(number, a[0], a[1], a[2], &deadline, a[4], a[5]);
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

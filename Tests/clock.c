// SPDX-License-Identifier: Apache-2.0
// The clocks of a program and of all it starts: TOLLGATE_TEST_CLOCK seconds away from the machine's wall clock, or
// TOLLGATE_TEST_SPEED times as fast. `Tests/at` loads it. By system calls alone: Redis' allocator asks for the time before
// a library could look up the functions it replaces, which is why libfaketime doesn't reach Redis.

#define _GNU_SOURCE
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const long long second = 1000000000;

static long long given(const char *name, long long otherwise) {
    const char *text = getenv(name);
    return text ? atoll(text) : otherwise;
}

static long long speed(void) { return given("TOLLGATE_TEST_SPEED", 1); }

static long long nanoseconds(const struct timespec *time) { return time->tv_sec * second + time->tv_nsec; }

static struct timespec timespec_of(long long nanoseconds) {
    return (struct timespec){nanoseconds / second, nanoseconds % second};
}

static bool is_wall(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

static bool is_monotonic(clockid_t clock) {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_MONOTONIC_RAW ||
           clock == CLOCK_BOOTTIME;
}

// How far the clock is from the machine's: what has passed since the machine began has passed as many times more, so that
// all programs agree.
static long long ahead(clockid_t clock) {
    struct timespec since = {0, 0};
    long long faster = speed() - 1;
    if (faster) syscall(SYS_clock_gettime, is_wall(clock) ? CLOCK_MONOTONIC : clock, &since);
    return nanoseconds(&since) * faster + (is_wall(clock) ? given("TOLLGATE_TEST_CLOCK", 0) * second : 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    long code = syscall(SYS_clock_gettime, clock, now);
    if (code == 0 && (is_wall(clock) || is_monotonic(clock))) *now = timespec_of(nanoseconds(now) + ahead(clock));
    return (int)code;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (kept) *kept = precise.tv_sec;
    return precise.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
    return base == TIME_UTC && clock_gettime(CLOCK_REALTIME, now) == 0 ? base : 0;
}

// What waits, waits as much less: event loops by these two.

int epoll_wait(int poll, struct epoll_event *events, int most, int milliseconds) {
    long long rate = speed();
    if (milliseconds > 0) milliseconds = (int)((milliseconds + rate - 1) / rate);
    return (int)syscall(SYS_epoll_pwait, poll, events, most, milliseconds, NULL, 8);
}

int timerfd_settime(int timer, int flags, const struct itimerspec *wanted, struct itimerspec *before) {
    long long rate = speed(), due = nanoseconds(&wanted->it_value);
    struct itimerspec real = {timespec_of(nanoseconds(&wanted->it_interval) / rate), wanted->it_value};
    if (rate > 1 && due > 0) {
        struct timespec now = {0, 0};
        if (flags & TFD_TIMER_ABSTIME) {
            // Which clock the timer goes by isn't told; instants of the wall clock are decades away from the other's.
            clockid_t clock = due > 900000000 * second ? CLOCK_REALTIME : CLOCK_MONOTONIC;
            clock_gettime(clock, &now);
            due = due > nanoseconds(&now) ? due - nanoseconds(&now) : 0;
            syscall(SYS_clock_gettime, clock, &now);
        }
        real.it_value = timespec_of(nanoseconds(&now) + due / rate + 1);
    }
    return (int)syscall(SYS_timerfd_settime, timer, flags, &real, before);
}

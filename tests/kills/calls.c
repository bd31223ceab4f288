/* Counts the calls of this process, its forks and the programs that they start, that change a file below a folder (or,
   if asked, that send on a socket), and at the n-th kills the process group in the middle of it, or has the disk full
   from there on.

   Preloaded; every name below stands in the place of the C library's.  Calls that write into one file, one after the
   other, count as one.  What is written through a mapping, or by the C library's own buffers (fwrite), is not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT, KILL, FULL };

/* In a file that forks and the programs that they start have mapped, too. */
static struct {
    atomic_long seen;
    long point;
    int mode, sends;
    int last; /* the descriptor that the last of these calls wrote into, plus one */
    char below[PATH_MAX];
} *state;

int calls_arm(const char *path) {
    int descriptor = open(path, O_RDWR);
    if (descriptor < 0) return -1;
    void *mapped = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    close(descriptor);
    if (mapped == MAP_FAILED) return -1;
    state = mapped;
    return 0;
}

__attribute__((constructor)) static void started(void) {
    const char *path = getenv("CALLS_STATE");
    if (path) calls_arm(path);
}

static int is_below(const char *path) { return strncmp(path, state->below, strlen(state->below)) == 0; }

static int descriptor_is_below(int descriptor) {
    char link[64], path[PATH_MAX];
    if (!state) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return is_below(path) || (state->sends && strncmp(path, "socket:", 7) == 0);
}

static int path_is_below(int folder, const char *path) {
    char whole[2 * PATH_MAX + 2], link[64];
    if (!state || !path) return 0;
    if (path[0] == '/') return is_below(path);
    if (folder == AT_FDCWD) {
        if (!getcwd(whole, PATH_MAX)) return 0;
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, whole, PATH_MAX);
        if (n < 0) return 0;
        whole[n] = 0;
    }
    strcat(whole, "/");
    strncat(whole, path, PATH_MAX);
    return is_below(whole);
}

static void die(void) {
    kill(0, SIGKILL);
    for (;;) pause();
}

/* Count a call. Returns whether it must fail, since the disk is full. */
static int reached(int grows) {
    state->last = 0;
    long n = atomic_fetch_add(&state->seen, 1) + 1;
    if (state->mode == KILL && n == state->point) die();
    if (state->mode == FULL && n >= state->point && grows) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

/* The same of a call that writes; the caller writes half and dies if this says so. */
static int reached_half(int descriptor) {
    if (state->last == descriptor + 1) {
        if (state->mode != FULL || atomic_load(&state->seen) < state->point) return 0;
        errno = ENOSPC;
        return -1;
    }
    if (state->mode == KILL && atomic_load(&state->seen) + 1 == state->point) return 1;
    int full = reached(1);
    state->last = descriptor + 1;
    return full ? -1 : 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name)                                                                  \
    int name(const char *path, int flags, ...) {                                    \
        va_list list;                                                               \
        va_start(list, flags);                                                      \
        mode_t rights = va_arg(list, mode_t);                                       \
        va_end(list);                                                               \
        if ((flags & (O_CREAT | O_TRUNC)) && path_is_below(AT_FDCWD, path) && reached(1)) return -1; \
        return REAL(name)(path, flags, rights);                                     \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                                \
    int name(int folder, const char *path, int flags, ...) {                        \
        va_list list;                                                               \
        va_start(list, flags);                                                      \
        mode_t rights = va_arg(list, mode_t);                                       \
        va_end(list);                                                               \
        if ((flags & (O_CREAT | O_TRUNC)) && path_is_below(folder, path) && reached(1)) return -1; \
        return REAL(name)(folder, path, flags, rights);                             \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                                 \
    FILE *name(const char *path, const char *how) {                                 \
        if (!(how[0] == 'r' && !strchr(how, '+')) && path_is_below(AT_FDCWD, path) && reached(1)) return NULL; \
        return REAL(name)(path, how);                                               \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define CHANGES(name, grows, where, types, values)                                  \
    int name types {                                                                \
        if ((where) && reached(grows)) return -1;                                   \
        return REAL(name) values;                                                   \
    }
#define AT(path) path_is_below(AT_FDCWD, path)
CHANGES(creat, 1, AT(p), (const char *p, mode_t m), (p, m))
CHANGES(mkdir, 1, AT(p), (const char *p, mode_t m), (p, m))
CHANGES(mkdirat, 1, path_is_below(f, p), (int f, const char *p, mode_t m), (f, p, m))
CHANGES(rename, 0, AT(a) || AT(b), (const char *a, const char *b), (a, b))
CHANGES(renameat, 0, path_is_below(f, a) || path_is_below(g, b), (int f, const char *a, int g, const char *b), (f, a, g, b))
CHANGES(renameat2, 0, path_is_below(f, a) || path_is_below(g, b), (int f, const char *a, int g, const char *b, unsigned int o), (f, a, g, b, o))
CHANGES(unlink, 0, AT(p), (const char *p), (p))
CHANGES(unlinkat, 0, path_is_below(f, p), (int f, const char *p, int o), (f, p, o))
CHANGES(rmdir, 0, AT(p), (const char *p), (p))
CHANGES(remove, 0, AT(p), (const char *p), (p))
CHANGES(link, 1, AT(b), (const char *a, const char *b), (a, b))
CHANGES(symlink, 1, AT(b), (const char *a, const char *b), (a, b))
CHANGES(truncate, 0, AT(p), (const char *p, off_t n), (p, n))
CHANGES(ftruncate, 0, descriptor_is_below(d), (int d, off_t n), (d, n))
CHANGES(ftruncate64, 0, descriptor_is_below(d), (int d, off64_t n), (d, n))

#define WRITES(name, types, values, halves)                                         \
    ssize_t name types {                                                            \
        if (descriptor_is_below(d)) {                                               \
            int how = reached_half(d);                                               \
            if (how < 0) return -1;                                                 \
            if (how) {                                                              \
                REAL(name) halves;                                                  \
                die();                                                              \
            }                                                                       \
        }                                                                           \
        return REAL(name) values;                                                   \
    }
WRITES(write, (int d, const void *b, size_t n), (d, b, n), (d, b, n / 2))
WRITES(pwrite, (int d, const void *b, size_t n, off_t o), (d, b, n, o), (d, b, n / 2, o))
WRITES(pwrite64, (int d, const void *b, size_t n, off64_t o), (d, b, n, o), (d, b, n / 2, o))
WRITES(writev, (int d, const struct iovec *b, int n), (d, b, n), (d, b, n / 2))
WRITES(sendfile, (int d, int s, off_t *o, size_t n), (d, s, o, n), (d, s, o, n / 2))
WRITES(sendfile64, (int d, int s, off64_t *o, size_t n), (d, s, o, n), (d, s, o, n / 2))
WRITES(send, (int d, const void *b, size_t n, int o), (d, b, n, o), (d, b, n / 2, o))
WRITES(sendto, (int d, const void *b, size_t n, int o, const struct sockaddr *a, socklen_t l), (d, b, n, o, a, l), (d, b, n / 2, o, a, l))

ssize_t copy_file_range(int s, off64_t *so, int d, off64_t *o, size_t n, unsigned int f) {
    if (descriptor_is_below(d) && reached(1)) return -1;
    return REAL(copy_file_range)(s, so, d, o, n, f);
}

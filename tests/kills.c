/* Stops the process at each change that it makes to files under a folder; see kills.py.

   Preloaded (LD_PRELOAD), so that Python, TensorFlow, HDF5 and Pillow are stopped alike. Each write
   is an event twice: before it, and when half of it is done. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))real(#name))
#define LAST 65536

static char folder[PATH_MAX];
static int told = -1;
/* Which of the open files are watched. */
static char watched[LAST];
static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

/* Begin: tell of events under a folder by lines written to a file's number, and stop at each. */
void kills_watch(const char *path, int tell) {
  snprintf(folder, sizeof folder, "%s", path);
  told = tell;
}

static int under(int at, const char *path, char *full) {
  if (told < 0) return 0;
  if (path[0] == '/') {
    snprintf(full, PATH_MAX, "%s", path);
  } else {
    char link[64], base[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    ssize_t size = at == AT_FDCWD ? (getcwd(base, sizeof base) ? (ssize_t)strlen(base) : -1)
                                  : readlink(link, base, sizeof base - 1);
    if (size < 0) return 0;
    base[size] = 0;
    if (snprintf(full, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return 0;
  }
  /* What TensorFlow compiles is none of ours. */
  return !strncmp(full, folder, strlen(folder)) && !strstr(full, "__autograph_generated");
}

static void stop(const char *what, const char *path) {
  int kept = errno;
  char line[PATH_MAX + 32];
  int size = snprintf(line, sizeof line, "%s %s\n", what, path);
  pthread_mutex_lock(&one);
  syscall(SYS_write, told, line, size);
  syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGSTOP);
  pthread_mutex_unlock(&one);
  errno = kept;
}

static int about(int at, const char *what, const char *path) {
  char full[PATH_MAX];
  if (!under(at, path, full)) return 0;
  stop(what, full);
  return 1;
}

static int is_watched(int fd) { return told >= 0 && fd >= 0 && fd < LAST && watched[fd]; }

static void about_fd(const char *what, int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  path[size < 0 ? 0 : size] = 0;
  stop(what, path);
}

static int opened(int fd, int watch) {
  if (fd >= 0 && fd < LAST) watched[fd] = watch;
  return fd;
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT); }

#define OPEN(name)                                                         \
  int name(const char *path, int flags, ...) {                             \
    va_list more;                                                          \
    va_start(more, flags);                                                 \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                          \
    int watch = writes(flags) && about(AT_FDCWD, "open", path);            \
    return opened(REAL(name)(path, flags, mode), watch);                   \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                       \
  int name(int at, const char *path, int flags, ...) {                     \
    va_list more;                                                          \
    va_start(more, flags);                                                 \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
    va_end(more);                                                          \
    int watch = writes(flags) && about(at, "open", path);                  \
    return opened(REAL(name)(at, path, flags, mode), watch);               \
  }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                  \
  FILE *name(const char *path, const char *mode) {                   \
    int watch = strpbrk(mode, "wa+") && about(AT_FDCWD, "open", path); \
    FILE *file = REAL(name)(path, mode);                             \
    if (file) opened(fileno(file), watch);                           \
    return file;                                                     \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *data, size_t size) {
  if (!is_watched(fd)) return REAL(write)(fd, data, size);
  about_fd("write", fd);
  size_t half = size / 2;
  if (half) {
    ssize_t done = REAL(write)(fd, data, half);
    if (done < (ssize_t)half) return done;
    about_fd("half", fd);
  }
  ssize_t done = REAL(write)(fd, (const char *)data + half, size - half);
  return done < 0 ? (half ? (ssize_t)half : done) : done + (ssize_t)half;
}

#define PWRITE(name, offset_t)                                                        \
  ssize_t name(int fd, const void *data, size_t size, offset_t place) {               \
    if (!is_watched(fd)) return REAL(name)(fd, data, size, place);                    \
    about_fd("write", fd);                                                            \
    size_t half = size / 2;                                                           \
    if (half) {                                                                       \
      ssize_t done = REAL(name)(fd, data, half, place);                               \
      if (done < (ssize_t)half) return done;                                          \
      about_fd("half", fd);                                                           \
    }                                                                                 \
    ssize_t done = REAL(name)(fd, (const char *)data + half, size - half, place + half); \
    return done < 0 ? (half ? (ssize_t)half : done) : done + (ssize_t)half;           \
  }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int fd, const struct iovec *parts, int count) {
  if (is_watched(fd)) about_fd("write", fd);
  return REAL(writev)(fd, parts, count);
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  if (!is_watched(fileno(file))) return REAL(fwrite)(data, size, count, file);
  about_fd("write", fileno(file));
  size_t half = size == 1 ? count / 2 : 0;
  if (half) {
    if (REAL(fwrite)(data, 1, half, file) < half) return 0;
    fflush(file);
    about_fd("half", fileno(file));
  }
  return half + REAL(fwrite)((const char *)data + half, size, count - half, file);
}

int fclose(FILE *file) {
  int fd = fileno(file);
  if (is_watched(fd)) {
    about_fd("close", fd);
    watched[fd] = 0;
  }
  return REAL(fclose)(file);
}

int close(int fd) {
  if (is_watched(fd)) {
    about_fd("close", fd);
    watched[fd] = 0;
  }
  return REAL(close)(fd);
}

/* Python syncs by a number that is for reading only. */
#define ON_FD(name)                                                            \
  int name(int fd) {                                                           \
    char path[PATH_MAX], link[64];                                             \
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);                       \
    ssize_t size = told < 0 ? -1 : readlink(link, path, sizeof path - 1);      \
    path[size < 0 ? 0 : size] = 0;                                             \
    if (size > 0) about(AT_FDCWD, #name, path);                                \
    return REAL(name)(fd);                                                     \
  }
ON_FD(fsync)
ON_FD(fdatasync)

#define TRUNCATE(name, offset_t)                    \
  int name(int fd, offset_t size) {                 \
    if (is_watched(fd)) about_fd("truncate", fd);   \
    return REAL(name)(fd, size);                    \
  }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int rename(const char *from, const char *to) {
  about(AT_FDCWD, "rename", to);
  return REAL(rename)(from, to);
}

int renameat(int at, const char *from, int at_to, const char *to) {
  about(at_to, "rename", to);
  return REAL(renameat)(at, from, at_to, to);
}

int unlink(const char *path) {
  about(AT_FDCWD, "remove", path);
  return REAL(unlink)(path);
}

int unlinkat(int at, const char *path, int flags) {
  about(at, "remove", path);
  return REAL(unlinkat)(at, path, flags);
}

int rmdir(const char *path) {
  about(AT_FDCWD, "remove", path);
  return REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode) {
  about(AT_FDCWD, "mkdir", path);
  return REAL(mkdir)(path, mode);
}

int mkdirat(int at, const char *path, mode_t mode) {
  about(at, "mkdir", path);
  return REAL(mkdirat)(at, path, mode);
}

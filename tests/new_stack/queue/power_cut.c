/* Preloaded into a Redis: notes how much of each append-only file has reached the disk. After a kill, a test cuts the
   files back to that, as a power cut would. SYNCED is the folder of the notes, SYNC_MS how long the disk takes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int synced(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    char link[64], path[PATH_MAX], note[PATH_MAX + 32], text[32];
    struct stat before;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    fstat(fd, &before);
    const char *pause = getenv("SYNC_MS");
    if (pause) usleep(atoi(pause) * 1000);
    int answer = real(fd);
    if (answer || length < 0) return answer;
    path[length] = 0;
    const char *base = strrchr(path, '/');
    if (!base || !strstr(base, ".aof")) return answer;
    snprintf(note, sizeof note, "%s%s", getenv("SYNCED"), base);
    FILE *file = fopen(note, "w");
    if (file) {
        snprintf(text, sizeof text, "%lld", (long long)before.st_size);
        fputs(text, file);
        fclose(file);
    }
    return answer;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }

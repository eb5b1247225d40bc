// Makes each call on a device in each of the variants that libc has, and compares what they do.
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/vfio.h>

static const char *variant;

#define CHECK(what)                                                                                  \
    do {                                                                                             \
        if (!(what)) {                                                                               \
            fprintf(stderr, "%s: line %d: %s (errno %d)\n", variant, __LINE__, #what, errno);        \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)

// Finds a variant by name, as the loader does for a program that was compiled to call it.
static void *find(const char *name)
{
    variant = name;
    void *found = dlsym(RTLD_DEFAULT, name);
    CHECK(found != NULL);
    return found;
}

static const char *group_path = "/dev/vfio/7000";

static void opened(int fd)
{
    struct vfio_group_status status = { .argsz = sizeof(status) };
    const char *how = variant;
    int (*call)(int, unsigned long, void *) = find("ioctl");
    CHECK(fd >= 0);
    CHECK(call(fd, VFIO_GROUP_GET_STATUS, &status) == 0 && (status.flags & VFIO_GROUP_FLAGS_VIABLE));
    variant = how;
    CHECK(close(fd) == 0);
}

static void opens(void)
{
    const char *plain[] = { "open", "open64", "__open", "__open64", "__open_2", "__open64_2" };
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) {
        int (*call)(const char *, int) = find(plain[i]);
        opened(call(group_path, O_RDWR | O_CLOEXEC));
        CHECK(call("/dev/vfio/7001", O_RDWR) == -1 && errno == ENOENT);
    }
    const char *creats[] = { "creat", "creat64" };
    for (size_t i = 0; i < sizeof(creats) / sizeof(*creats); i++) {
        int (*call)(const char *, mode_t) = find(creats[i]);
        opened(call(group_path, 0600));
    }
    const char *at[] = { "openat", "openat64", "__openat_2", "__openat64_2" };
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        int (*call)(int, const char *, int) = find(at[i]);
        opened(call(AT_FDCWD, group_path, O_RDWR | O_CLOEXEC));
    }
}

static int is_node(mode_t mode, dev_t number, unsigned minor_number)
{
    return S_ISCHR(mode) && major(number) == 511 && minor(number) == minor_number;
}

static void statuses(void)
{
    const char *path = "/dev/vfio/devices/vfio7000";
    struct stat64 status;
    const char *by_path[] = { "stat", "stat64", "lstat", "lstat64" };
    for (size_t i = 0; i < sizeof(by_path) / sizeof(*by_path); i++) {
        int (*call)(const char *, struct stat64 *) = find(by_path[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(path, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
        CHECK(call("/", &status) == 0 && S_ISDIR(status.st_mode));
    }
    int cdev = open(path, O_RDWR);
    CHECK(cdev >= 0);
    const char *by_fd[] = { "fstat", "fstat64" };
    for (size_t i = 0; i < sizeof(by_fd) / sizeof(*by_fd); i++) {
        int (*call)(int, struct stat64 *) = find(by_fd[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(cdev, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    }
    const char *at[] = { "fstatat", "fstatat64" };
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        int (*call)(int, const char *, struct stat64 *, int) = find(at[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(AT_FDCWD, path, &status, 0) == 0 && is_node(status.st_mode, status.st_rdev, 0));
        memset(&status, 0, sizeof(status));
        CHECK(call(cdev, "", &status, AT_EMPTY_PATH) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    }
    // What programs call that were compiled for older libcs.
    const char *old_by_path[] = { "__xstat", "__xstat64", "__lxstat", "__lxstat64" };
    for (size_t i = 0; i < sizeof(old_by_path) / sizeof(*old_by_path); i++) {
        int (*call)(int, const char *, struct stat64 *) = find(old_by_path[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(1, path, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    }
    const char *old_by_fd[] = { "__fxstat", "__fxstat64" };
    for (size_t i = 0; i < sizeof(old_by_fd) / sizeof(*old_by_fd); i++) {
        int (*call)(int, int, struct stat64 *) = find(old_by_fd[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(1, cdev, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    }
    const char *old_at[] = { "__fxstatat", "__fxstatat64" };
    for (size_t i = 0; i < sizeof(old_at) / sizeof(*old_at); i++) {
        int (*call)(int, int, const char *, struct stat64 *, int) = find(old_at[i]);
        memset(&status, 0, sizeof(status));
        CHECK(call(1, AT_FDCWD, path, &status, 0) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    }
    struct statx extended;
    int (*call)(int, const char *, int, unsigned, struct statx *) = find("statx");
    CHECK(call(AT_FDCWD, path, 0, STATX_BASIC_STATS, &extended) == 0);
    CHECK(is_node(extended.stx_mode, makedev(extended.stx_rdev_major, extended.stx_rdev_minor), 0));
    CHECK(call(cdev, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &extended) == 0);
    CHECK(is_node(extended.stx_mode, makedev(extended.stx_rdev_major, extended.stx_rdev_minor), 0));
    const char *accesses[] = { "access", "eaccess", "euidaccess" };
    for (size_t i = 0; i < sizeof(accesses) / sizeof(*accesses); i++) {
        int (*access_call)(const char *, int) = find(accesses[i]);
        CHECK(access_call("/dev/iommu", F_OK) == 0 && access_call("/dev/iommu", R_OK | W_OK) == 0);
        CHECK(access_call("/dev/iommu", X_OK) == -1 && errno == EACCES);
        CHECK(access_call("/dev/vfio/7001", F_OK) == -1 && errno == ENOENT);
    }
    int (*access_at)(int, const char *, int, int) = find("faccessat");
    CHECK(access_at(AT_FDCWD, "/dev/vfio/vfio", R_OK, 0) == 0);
    CHECK(close(cdev) == 0);
}

// The device's configuration space, in the variants of reading; and its command register, of writing.
static void transfers(int device, uint64_t config, const uint8_t *expected)
{
    uint8_t bytes[64];
    struct iovec vectors[2] = { { bytes, 16 }, { bytes + 16, 48 } };
    const char *preads[] = { "pread", "pread64", "__pread64" };
    for (size_t i = 0; i < sizeof(preads) / sizeof(*preads); i++) {
        ssize_t (*call)(int, void *, size_t, off64_t) = find(preads[i]);
        memset(bytes, 0xee, sizeof(bytes));
        CHECK(call(device, bytes, 64, (off64_t)config) == 64 && memcmp(bytes, expected, 64) == 0);
    }
    const char *checked[] = { "__pread_chk", "__pread64_chk" };
    for (size_t i = 0; i < sizeof(checked) / sizeof(*checked); i++) {
        ssize_t (*call)(int, void *, size_t, off64_t, size_t) = find(checked[i]);
        memset(bytes, 0xee, sizeof(bytes));
        CHECK(call(device, bytes, 64, (off64_t)config, sizeof(bytes)) == 64 && memcmp(bytes, expected, 64) == 0);
    }
    const char *vectored[] = { "preadv", "preadv64" };
    for (size_t i = 0; i < sizeof(vectored) / sizeof(*vectored); i++) {
        ssize_t (*call)(int, const struct iovec *, int, off64_t) = find(vectored[i]);
        memset(bytes, 0xee, sizeof(bytes));
        CHECK(call(device, vectors, 2, (off64_t)config) == 64 && memcmp(bytes, expected, 64) == 0);
    }
    const char *second[] = { "preadv2", "preadv64v2" };
    for (size_t i = 0; i < sizeof(second) / sizeof(*second); i++) {
        ssize_t (*call)(int, const struct iovec *, int, off64_t, int) = find(second[i]);
        memset(bytes, 0xee, sizeof(bytes));
        CHECK(call(device, vectors, 2, (off64_t)config, 0) == 64 && memcmp(bytes, expected, 64) == 0);
    }
    // The base address register of the first BAR holds what is written to its upper bits.
    uint64_t bar = config + 0x10;
    uint32_t value = 0, seen = 0;
    struct iovec one = { &value, sizeof(value) };
    const char *pwrites[] = { "pwrite", "pwrite64", "__pwrite64" };
    for (size_t i = 0; i < sizeof(pwrites) / sizeof(*pwrites); i++) {
        ssize_t (*call)(int, const void *, size_t, off64_t) = find(pwrites[i]);
        value = 0xf0000000u + ((uint32_t)i << 20);
        CHECK(call(device, &value, 4, (off64_t)bar) == 4);
        CHECK(pread(device, &seen, 4, (off64_t)bar) == 4 && (seen & ~0xfu) == value);
    }
    const char *pwritevs[] = { "pwritev", "pwritev64" };
    for (size_t i = 0; i < sizeof(pwritevs) / sizeof(*pwritevs); i++) {
        ssize_t (*call)(int, const struct iovec *, int, off64_t) = find(pwritevs[i]);
        value = 0xe0000000u + ((uint32_t)i << 20);
        CHECK(call(device, &one, 1, (off64_t)bar) == 4);
        CHECK(pread(device, &seen, 4, (off64_t)bar) == 4 && (seen & ~0xfu) == value);
    }
    const char *pwritev2s[] = { "pwritev2", "pwritev64v2" };
    for (size_t i = 0; i < sizeof(pwritev2s) / sizeof(*pwritev2s); i++) {
        ssize_t (*call)(int, const struct iovec *, int, off64_t, int) = find(pwritev2s[i]);
        value = 0xd0000000u + ((uint32_t)i << 20);
        CHECK(call(device, &one, 1, (off64_t)bar, 0) == 4);
        CHECK(pread(device, &seen, 4, (off64_t)bar) == 4 && (seen & ~0xfu) == value);
    }
    const char *seeks[] = { "lseek", "lseek64" };
    for (size_t i = 0; i < sizeof(seeks) / sizeof(*seeks); i++) {
        off64_t (*call)(int, off64_t, int) = find(seeks[i]);
        CHECK(call(device, 0, SEEK_SET) == -1 && errno == ESPIPE);
    }
}

static int reads_config(int device, uint64_t config, const uint8_t *expected)
{
    uint8_t bytes[4];
    return pread(device, bytes, 4, (off64_t)config) == 4 && memcmp(bytes, expected, 4) == 0;
}

static void duplicates(int device, uint64_t config, const uint8_t *expected)
{
    int (*dup_call)(int) = find("dup");
    int double1 = dup_call(device);
    CHECK(double1 >= 0 && reads_config(double1, config, expected));
    const char *dup2s[] = { "dup2", "__dup2" };
    for (size_t i = 0; i < sizeof(dup2s) / sizeof(*dup2s); i++) {
        int (*call)(int, int) = find(dup2s[i]);
        CHECK(call(device, 200) == 200 && reads_config(200, config, expected));
        // Another file in its place: it is no device any more.
        int null = open("/dev/null", O_RDWR);
        CHECK(call(null, 200) == 200 && !reads_config(200, config, expected) && errno != EBADF);
        close(null);
    }
    int (*dup3_call)(int, int, int) = find("dup3");
    CHECK(dup3_call(device, 201, O_CLOEXEC) == 201 && reads_config(201, config, expected));
    const char *fcntls[] = { "fcntl", "fcntl64", "__fcntl" };
    for (size_t i = 0; i < sizeof(fcntls) / sizeof(*fcntls); i++) {
        int (*call)(int, int, ...) = find(fcntls[i]);
        int copy = call(device, F_DUPFD_CLOEXEC, 300);
        CHECK(copy >= 300 && reads_config(copy, config, expected));
        CHECK((call(copy, F_GETFL) & O_ACCMODE) == O_RDWR);
        CHECK(call(copy, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && (call(device, F_GETFL) & O_NONBLOCK));
        CHECK(call(copy, F_SETFL, O_RDWR) == 0 && !(call(device, F_GETFL) & O_NONBLOCK));
        CHECK(call(copy, F_GETFD) == FD_CLOEXEC);
        CHECK(close(copy) == 0 && fcntl(copy, F_GETFD) == -1);
    }
    const char *closes[] = { "close", "__close" };
    for (size_t i = 0; i < sizeof(closes) / sizeof(*closes); i++) {
        int (*call)(int) = find(closes[i]);
        int copy = dup(device);
        CHECK(call(copy) == 0 && !reads_config(copy, config, expected) && errno == EBADF);
    }
    int (*close_range_call)(unsigned, unsigned, int) = find("close_range");
    CHECK(close_range_call(200, 201, 0) == 0 && !reads_config(201, config, expected) && errno == EBADF);
    int copy = fcntl(device, F_DUPFD, 400);
    void (*closefrom_call)(int) = find("closefrom");
    closefrom_call(400);
    CHECK(!reads_config(copy, config, expected) && errno == EBADF);
    CHECK(reads_config(device, config, expected) && reads_config(double1, config, expected));
    CHECK(close(double1) == 0);
}

static void polls(int device)
{
    struct pollfd fds[2];
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    int (*plain[])(struct pollfd *, nfds_t, int) = { find("poll"), find("__poll") };
    for (int i = 0; i < 2; i++) {
        fds[0] = (struct pollfd){ device, POLLIN, 0 };
        fds[1] = (struct pollfd){ pipes[0], POLLIN, 0 };
        CHECK(plain[i](fds, 2, -1) == 1 && fds[0].revents == POLLIN && fds[1].revents == 0);
    }
    int (*checked)(struct pollfd *, nfds_t, int, size_t) = find("__poll_chk");
    CHECK(checked(fds, 2, -1, sizeof(fds)) == 1 && fds[0].revents == POLLIN);
    int (*timed)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *) = find("ppoll");
    CHECK(timed(fds, 2, NULL, NULL) == 1 && fds[0].revents == POLLIN);
    int (*timed_checked)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t) =
        find("__ppoll_chk");
    CHECK(timed_checked(fds, 2, NULL, NULL, sizeof(fds)) == 1 && fds[0].revents == POLLIN);
    close(pipes[0]);
    close(pipes[1]);
}

static void selects(int device)
{
    fd_set reading, writing, exceptional;
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    const char *plain[] = { "select", "__select" };
    for (size_t i = 0; i < 4; i++) {
        int (*timed)(int, fd_set *, fd_set *, fd_set *, struct timeval *) = find(plain[i % 2]);
        int (*masked)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *) = find("pselect");
        int count = 1 + (device > pipes[0] ? device : pipes[0]);
        FD_ZERO(&reading);
        FD_ZERO(&writing);
        FD_ZERO(&exceptional);
        FD_SET(device, &reading);
        FD_SET(device, &exceptional);
        FD_SET(pipes[0], &reading);
        if (i % 2)
            FD_SET(device, &writing);
        int expected = i % 2 ? 2 : 1;
        // Without a time: it would wait for ever for the pipe.
        CHECK((i < 2 ? timed(count, &reading, &writing, &exceptional, NULL)
                     : masked(count, &reading, &writing, &exceptional, NULL, NULL)) == expected);
        CHECK(FD_ISSET(device, &reading) && !FD_ISSET(pipes[0], &reading) && !FD_ISSET(device, &exceptional));
        CHECK(!!FD_ISSET(device, &writing) == (i % 2 == 1));
        // Only what is exceptional: a device never is.
        struct timeval soon = { 0, 1000 };
        struct timespec now = { 0, 0 };
        FD_ZERO(&reading);
        FD_ZERO(&writing);
        FD_SET(device, &exceptional);
        CHECK((i < 2 ? timed(count, &reading, &writing, &exceptional, &soon)
                     : masked(count, &reading, &writing, &exceptional, &now, NULL)) == 0);
        CHECK(!FD_ISSET(device, &exceptional));
        // What cannot be waited for at all leaves the sets as they were.
        int closed = dup(pipes[0]);
        CHECK(close(closed) == 0);
        count = count > closed ? count : closed + 1;
        FD_SET(closed, &reading);
        FD_SET(device, &reading);
        CHECK((i < 2 ? timed(count, &reading, NULL, NULL, NULL) : masked(count, &reading, NULL, NULL, NULL, NULL)) == -1);
        CHECK(errno == EBADF && FD_ISSET(device, &reading) && FD_ISSET(closed, &reading));
    }
    close(pipes[0]);
    close(pipes[1]);
}

static void maps(int device)
{
    struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR2_REGION_INDEX };
    CHECK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0 && (info.flags & VFIO_REGION_INFO_FLAG_MMAP));
    const char *names[] = { "mmap", "mmap64" };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        void *(*call)(void *, size_t, int, int, int, off64_t) = find(names[i]);
        uint32_t *memory = call(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, device, (off64_t)info.offset);
        CHECK(memory != MAP_FAILED);
        uint32_t seen = 0;
        memory[5] = 0x1234 + (uint32_t)i;
        CHECK(pread(device, &seen, 4, (off64_t)info.offset + 20) == 4 && seen == 0x1234 + i);
        munmap(memory, 4096);
    }
}

// A data fd is read and written without an offset.
static void streams(int device)
{
    struct {
        struct vfio_device_feature head;
        struct vfio_device_feature_mig_state state;
    } set = { { sizeof(set), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE }, { 0, -1 } };
    uint8_t bytes[256];
    struct iovec vectors[2] = { { bytes, 5 }, { bytes + 5, 11 } };
    variant = "read";
    set.state.device_state = VFIO_DEVICE_STATE_STOP_COPY;
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0 && set.state.data_fd >= 0);
    int fd = set.state.data_fd;
    ssize_t (*reads[])(int, void *, size_t) = { find("read"), find("__read") };
    for (int i = 0; i < 2; i++)
        CHECK(reads[i](fd, bytes, 16) == 16);
    ssize_t (*read_checked)(int, void *, size_t, size_t) = find("__read_chk");
    CHECK(read_checked(fd, bytes, 16, sizeof(bytes)) == 16);
    ssize_t (*readv_call)(int, const struct iovec *, int) = find("readv");
    CHECK(readv_call(fd, vectors, 2) == 16);
    ssize_t (*preadv2_call)(int, const struct iovec *, int, off64_t, int) = find("preadv2");
    CHECK(preadv2_call(fd, vectors, 2, -1, 0) == 16);
    CHECK(pread(fd, bytes, 16, 0) == -1 && errno == ESPIPE);
    set.state.device_state = VFIO_DEVICE_STATE_STOP;
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0);
    CHECK(close(fd) == 0);
}

static void writes(int device)
{
    struct {
        struct vfio_device_feature head;
        struct vfio_device_feature_mig_state state;
    } set = { { sizeof(set), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE }, { 0, -1 } };
    static uint8_t data[1 << 20];
    size_t size = 0;
    ssize_t got;
    variant = "write";
    set.state.device_state = VFIO_DEVICE_STATE_STOP_COPY;
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0);
    int fd = set.state.data_fd;
    while ((got = read(fd, data + size, sizeof(data) - size)) > 0)
        size += (size_t)got;
    CHECK(got == 0 && size > 256);
    CHECK(close(fd) == 0);
    set.state.device_state = VFIO_DEVICE_STATE_RESUMING;
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0);
    fd = set.state.data_fd;
    size_t at = 0;
    ssize_t (*plain[])(int, const void *, size_t) = { find("write"), find("__write") };
    for (int i = 0; i < 2; i++, at += 16)
        CHECK(plain[i](fd, data + at, 16) == 16);
    struct iovec vectors[2] = { { data + at, 5 }, { data + at + 5, 11 } };
    ssize_t (*writev_call)(int, const struct iovec *, int) = find("writev");
    CHECK(writev_call(fd, vectors, 2) == 16);
    at += 16;
    vectors[0] = (struct iovec){ data + at, size - at };
    ssize_t (*pwritev2_call)(int, const struct iovec *, int, off64_t, int) = find("pwritev2");
    CHECK(pwritev2_call(fd, vectors, 1, -1, 0) == (ssize_t)(size - at));
    // The device takes it only if every byte arrived in its place.
    set.state.device_state = VFIO_DEVICE_STATE_RUNNING;
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &set) == 0);
    CHECK(close(fd) == 0);
}

// What sysfs says of the device: the folder says it.
static void sysfs(void)
{
    const char *link = "/sys/bus/pci/devices/0000:00:01.0/iommu_group";
    char bytes[4096];
    ssize_t (*read_link)(const char *, char *, size_t) = find("readlink");
    CHECK(read_link(link, bytes, sizeof(bytes)) > 5 && strncmp(bytes, "../iommu_groups/7000", 20) == 0);
    ssize_t (*checked)(const char *, char *, size_t, size_t) = find("__readlink_chk");
    CHECK(checked(link, bytes, sizeof(bytes), sizeof(bytes)) == 20);
    ssize_t (*at)(int, const char *, char *, size_t) = find("readlinkat");
    CHECK(at(AT_FDCWD, link, bytes, sizeof(bytes)) == 20);
    ssize_t (*at_checked)(int, const char *, char *, size_t, size_t) = find("__readlinkat_chk");
    CHECK(at_checked(AT_FDCWD, link, bytes, sizeof(bytes), sizeof(bytes)) == 20);
    char *(*real)(const char *, char *) = find("realpath");
    CHECK(real(link, bytes) == bytes && strcmp(strrchr(bytes, '/'), "/7000") == 0);
    char *(*real_checked)(const char *, char *, size_t) = find("__realpath_chk");
    CHECK(real_checked(link, bytes, sizeof(bytes)) == bytes && strcmp(strrchr(bytes, '/'), "/7000") == 0);
    char *(*canonical)(const char *) = find("canonicalize_file_name");
    char *name = canonical("/sys/dev/char/511:0");
    CHECK(name != NULL && strcmp(strrchr(name, '/'), "/vfio7000") == 0);
    free(name);
    DIR *(*open_folder)(const char *) = find("opendir");
    DIR *folder = open_folder("/sys/bus/pci/devices/0000:00:01.0/vfio-dev");
    int found = 0;
    CHECK(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        found |= strcmp(entry->d_name, "vfio7000") == 0;
    CHECK(found && closedir(folder) == 0);
    int fd = open("/sys/class/vfio-dev/vfio7000/dev", O_RDONLY);
    CHECK(read(fd, bytes, sizeof(bytes)) == 6 && memcmp(bytes, "511:0\n", 6) == 0 && close(fd) == 0);
    CHECK(access("/sys/kernel/iommu_groups/7000/devices/0000:00:01.0", R_OK) == 0);
    CHECK(access("/sys/kernel/iommu_groups/7001", F_OK) == -1 && errno == ENOENT);
    CHECK(((long (*)(long, ...))dlsym(RTLD_DEFAULT, "syscall"))(SYS_readlinkat, AT_FDCWD, link, bytes, 64L) == 20);
}

// The same by number, in which libc has no part.
static void numbered(int device, uint64_t config, const uint8_t *expected)
{
    long (*call)(long, ...) = find("syscall");
    uint8_t bytes[16];
    uint32_t value = 0xc0000000u, seen = 0;
    struct iovec one = { bytes, sizeof(bytes) };
    struct stat64 status;
    struct statx extended;
    struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR2_REGION_INDEX };
    CHECK(call(SYS_pread64, device, bytes, sizeof(bytes), config) == 16 && memcmp(bytes, expected, 16) == 0);
    CHECK(call(SYS_pwrite64, device, &value, 4, config + 0x10) == 4);
    CHECK(call(SYS_pread64, device, &seen, 4, config + 0x10) == 4 && (seen & ~0xfu) == value);
    CHECK(call(SYS_read, device, bytes, 16) == -1 && errno != EBADF);
    CHECK(call(SYS_write, device, bytes, 16) == -1 && errno != EBADF);
    CHECK(call(SYS_readv, device, &one, 1) == -1 && errno != EBADF);
    CHECK(call(SYS_writev, device, &one, 1) == -1 && errno != EBADF);
    CHECK(call(SYS_ioctl, device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0);
    long mapped = call(SYS_mmap, 0L, 4096L, PROT_READ, MAP_SHARED, device, info.offset);
    CHECK(mapped != -1 && munmap((void *)mapped, 4096) == 0);
    int again = (int)call(SYS_dup, device);
    CHECK(reads_config(again, config, expected));
    CHECK(call(SYS_dup3, device, 210, O_CLOEXEC) == 210 && reads_config(210, config, expected));
    CHECK(call(SYS_close_range, 210, 210, 0) == 0 && !reads_config(210, config, expected));
    CHECK((call(SYS_fcntl, device, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(call(SYS_close, again) == 0 && !reads_config(again, config, expected) && errno == EBADF);
    int cdev = (int)call(SYS_openat, AT_FDCWD, "/dev/vfio/devices/vfio7000", O_RDWR);
    CHECK(call(SYS_fstat, cdev, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    CHECK(close(cdev) == 0);
    const char *path = "/dev/vfio/devices/vfio7000";
    CHECK(call(SYS_newfstatat, AT_FDCWD, path, &status, 0) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    CHECK(call(SYS_statx, AT_FDCWD, path, 0, STATX_BASIC_STATS, &extended) == 0);
    CHECK(is_node(extended.stx_mode, makedev(extended.stx_rdev_major, extended.stx_rdev_minor), 0));
    CHECK(call(SYS_faccessat, AT_FDCWD, path, R_OK) == 0);
#ifdef SYS_faccessat2
    CHECK(call(SYS_faccessat2, AT_FDCWD, path, R_OK, 0) == 0);
#endif
#ifdef SYS_open
    CHECK(call(SYS_dup2, device, 211) == 211 && reads_config(211, config, expected) && close(211) == 0);
    CHECK(call(SYS_stat, path, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    CHECK(call(SYS_lstat, path, &status) == 0 && is_node(status.st_mode, status.st_rdev, 0));
    CHECK(call(SYS_access, path, R_OK) == 0);
    CHECK((cdev = (int)call(SYS_open, path, O_RDWR)) >= 0 && close(cdev) == 0);
#endif
    CHECK(call(SYS_getpid) == getpid() && call(SYS_close, -1) == -1 && errno == EBADF);
}

int main(void)
{
    variant = "main";
    opens();
    statuses();
    sysfs();
    int container = open("/dev/vfio/vfio", O_RDWR), group = open(group_path, O_RDWR);
    CHECK(container >= 0 && group >= 0 && ioctl(container, VFIO_GET_API_VERSION) == VFIO_API_VERSION);
    CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
    CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:01.0");
    CHECK(device >= 0);
    struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX };
    CHECK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0 && info.size >= 64);
    uint8_t expected[64];
    CHECK(pread(device, expected, 64, (off64_t)info.offset) == 64);
    CHECK(expected[0] != 0 && (expected[0] != 0xff || expected[1] != 0xff));
    duplicates(device, info.offset, expected);
    polls(device);
    selects(device);
    transfers(device, info.offset, expected);
    maps(device);
    numbered(device, info.offset, expected);
    streams(device);
    writes(device);
    puts("every variant");
    return 0;
}

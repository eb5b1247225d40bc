// What becomes of devices' descriptors by the ways that descriptors go: `descriptors CASE`.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vfio.h>

// Headers of before Linux 6.6 do not have it.
struct bind {
    uint32_t argsz, flags;
    int32_t iommufd;
    uint32_t devid;
};
#define BIND _IO(VFIO_TYPE, VFIO_BASE + 18)

#define CHECK(what)                                                                                  \
    do {                                                                                             \
        if (!(what)) {                                                                               \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno);                     \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)

// A system call that no function of libc's makes.
static long past_libc(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long answer;
    register long fourth __asm__("r10") = d;
    register long fifth __asm__("r8") = e;
    register long sixth __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(answer)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long eighth __asm__("x8") = number;
    register long answer __asm__("x0") = a;
    register long second __asm__("x1") = b;
    register long third __asm__("x2") = c;
    register long fourth __asm__("x3") = d;
    register long fifth __asm__("x4") = e;
    register long sixth __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(answer)
                     : "r"(eighth), "r"(second), "r"(third), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "memory");
#endif
    if (answer < 0 && answer > -4096) {
        errno = (int)-answer;
        return -1;
    }
    return answer;
}

static const char *self;
static int container, group;

static int open_device(void)
{
    container = open("/dev/vfio/vfio", O_RDWR);
    group = open("/dev/vfio/7000", O_RDWR);
    CHECK(container >= 0 && group >= 0 && ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
    CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
    int device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:01.0");
    CHECK(device >= 0);
    return device;
}

static int works(int device)
{
    struct vfio_device_info info = { .argsz = sizeof(info) };
    return ioctl(device, VFIO_DEVICE_GET_INFO, &info) == 0 && (info.flags & VFIO_DEVICE_FLAGS_PCI);
}

// Binds a character device to an iommufd, as whoever gets the two does first.
static void bind_cdev(int cdev, int iommufd)
{
    struct bind bind = { .argsz = sizeof(bind), .iommufd = iommufd };
    CHECK(!works(cdev) && errno == EINVAL);
    CHECK(ioctl(cdev, BIND, &bind) == 0 && works(cdev));
}

static void send_fd(int socket, int fd)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof(int));
    CHECK(sendmsg(socket, &message, 0) == 1);
}

static int receive_fd(int socket)
{
    char byte, room[CMSG_SPACE(sizeof(int))];
    int fd;
    struct iovec data = { &byte, 1 };
    struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
    CHECK(recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message) != NULL);
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
    return fd;
}

static void run_self(const char *what, int first, int second)
{
    char numbers[2][16];
    snprintf(numbers[0], sizeof(numbers[0]), "%d", first);
    snprintf(numbers[1], sizeof(numbers[1]), "%d", second);
    execl(self, self, what, numbers[0], numbers[1], NULL);
    CHECK(!"exec works");
}

static int status_of(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int count, char **words)
{
    const char *what = words[1];
    self = words[0];
    int first = count > 2 ? atoi(words[2]) : -1, second = count > 3 ? atoi(words[3]) : -1;
    if (strcmp(what, "kept-over-exec") == 0) {
        run_self("bind", open("/dev/vfio/devices/vfio7000", O_RDWR), open("/dev/iommu", O_RDWR));
    } else if (strcmp(what, "bind") == 0) {
        bind_cdev(first, second);
    } else if (strcmp(what, "used-before-exec") == 0) {
        int device = open_device();
        CHECK(fcntl(device, F_GETFD) == FD_CLOEXEC && fcntl(device, F_SETFD, 0) == 0);
        run_self("used", device, group);
    } else if (strcmp(what, "used") == 0) {
        CHECK(!works(first) && errno == ESTALE);
        struct vfio_group_status status = { .argsz = sizeof(status) };
        CHECK(ioctl(second, VFIO_GROUP_GET_STATUS, &status) == -1 && errno == ESTALE);
    } else if (strcmp(what, "passed-to-another") == 0) {
        // As a manager of virtual machines does: it opens, and another program uses.
        int sockets[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
        pid_t child = fork();
        if (child == 0)
            run_self("take", sockets[1], 0);
        int cdev = open("/dev/vfio/devices/vfio7000", O_RDWR | O_CLOEXEC);
        int iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
        send_fd(sockets[0], cdev);
        send_fd(sockets[0], iommufd);
        close(cdev);
        close(iommufd);
        CHECK(status_of(child) == 0);
    } else if (strcmp(what, "take") == 0) {
        int cdev = receive_fd(first);
        bind_cdev(cdev, receive_fd(first));
    } else if (strcmp(what, "passed-to-itself") == 0) {
        int sockets[2], device = open_device();
        CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
        send_fd(sockets[0], device);
        int again = receive_fd(sockets[1]);
        CHECK(again != device && works(again));
        CHECK(close(device) == 0 && works(again));
    } else if (strcmp(what, "forked") == 0) {
        int device = open_device();
        pid_t child = fork();
        if (child == 0)
            _exit(!works(device) && errno == ESTALE ? 0 : 1);
        CHECK(status_of(child) == 0 && works(device));
    } else if (strcmp(what, "forked-before") == 0) {
        // As a daemon does.
        pid_t child = fork();
        if (child == 0)
            _exit(works(open_device()) ? 0 : 1);
        CHECK(status_of(child) == 0 && works(open_device()));
    } else if (strcmp(what, "vforked") == 0) {
        int device = open_device();
        pid_t child = vfork();
        if (child == 0) {
            close(device);
            _exit(0);
        }
        CHECK(status_of(child) == 0 && works(device));
    } else if (strcmp(what, "past-us") == 0) {
        int device = open_device();
        char bytes[8];
        struct vfio_device_info info = { .argsz = sizeof(info) };
        long fd = device, at = (long)bytes;
        CHECK(past_libc(SYS_read, fd, at, 8, 0, 0, 0) == -1 && errno == EBADF);
        CHECK(past_libc(SYS_pread64, fd, at, 8, 0, 0, 0) == -1 && errno == EBADF);
        CHECK(past_libc(SYS_pwrite64, fd, at, 8, 0, 0, 0) == -1 && errno == EBADF);
        CHECK(past_libc(SYS_ioctl, fd, VFIO_DEVICE_GET_INFO, (long)&info, 0, 0, 0) == -1 && errno == EBADF);
        CHECK(past_libc(SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, 0) == -1 && errno == EBADF);
        // A duplicate of which we were not told, and another file where a device was.
        int again = (int)past_libc(SYS_dup, fd, 0, 0, 0, 0, 0);
        CHECK(works(again));
        CHECK(past_libc(SYS_close, fd, 0, 0, 0, 0, 0) == 0);
        CHECK(open("/dev/null", O_RDWR) == device);
        CHECK(!works(device) && errno == ENOTTY && works(again));
    } else if (strcmp(what, "nothing-left") == 0) {
        // The last descriptor of a device ends it: the group is free again.
        int device = open_device();
        CHECK(open("/dev/vfio/7000", O_RDWR) == -1 && errno == EBUSY);
        int again = dup(device);
        CHECK(close(device) == 0 && close(group) == 0 && works(again));
        CHECK(close(again) == 0 && close(container) == 0);
        CHECK(works(open_device()));
    } else {
        CHECK(!"there is such a case");
    }
    return 0;
}

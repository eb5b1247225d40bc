// A manager of machines: opens what a machine is to have, and sends the descriptors to its monitor.
//
//     manager SOCKET NAME=PATH... -- COMMAND...
//
// Each NAME becomes a descriptor of the monitor (`getfd`), each COMMAND is carried out after that. Ends with 1 if one is refused.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "manager: %s: %s\n", what, strerror(errno));
    exit(1);
}

// Waits for an answer: what is no event, and not the greeting.
static void answered(FILE *from, const char *command)
{
    static char line[1 << 16];
    while (fgets(line, sizeof(line), from)) {
        if (strstr(line, "\"error\"")) {
            fprintf(stderr, "manager: %s is refused: %s", command, line);
            exit(1);
        }
        if (strstr(line, "\"return\""))
            return;
    }
    fail("the monitor has ended");
}

static void told(int monitor, const char *command, int fd)
{
    char room[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec bytes = { (void *)command, strlen(command) };
    struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
    if (fd >= 0) {
        message.msg_control = room;
        message.msg_controllen = sizeof(room);
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &fd, sizeof(int));
    }
    if (sendmsg(monitor, &message, 0) != (ssize_t)bytes.iov_len)
        fail(command);
}

int main(int count, char **words)
{
    struct sockaddr_un place = { .sun_family = AF_UNIX };
    int monitor = socket(AF_UNIX, SOCK_STREAM, 0), at = 2;
    if (count < 3 || strlen(words[1]) >= sizeof(place.sun_path))
        return 2;
    strcpy(place.sun_path, words[1]);
    if (monitor < 0 || connect(monitor, (struct sockaddr *)&place, sizeof(place)) < 0)
        fail(words[1]);
    FILE *from = fdopen(monitor, "r");
    if (!from)
        fail("fdopen");
    told(monitor, "{\"execute\": \"qmp_capabilities\"}\n", -1);
    answered(from, "qmp_capabilities");
    for (; at < count && strcmp(words[at], "--"); at++) {
        char command[256], *path = strchr(words[at], '=');
        if (!path)
            return 2;
        *path++ = 0;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            fail(path);
        snprintf(command, sizeof(command), "{\"execute\": \"getfd\", \"arguments\": {\"fdname\": \"%s\"}}\n", words[at]);
        told(monitor, command, fd);
        answered(from, command);
        close(fd);
    }
    for (at++; at < count; at++) {
        told(monitor, words[at], -1);
        told(monitor, "\n", -1);
        answered(from, words[at]);
    }
    return 0;
}

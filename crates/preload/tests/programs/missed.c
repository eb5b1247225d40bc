// Calls a variant of writing that libc does not have yet.
#include <sys/types.h>

ssize_t __pwrite64_chk(int fd, const void *buffer, size_t size, off_t offset, size_t room);

#ifdef LIBRARY
ssize_t __pwrite64_chk(int fd, const void *buffer, size_t size, off_t offset, size_t room)
{
    (void)buffer, (void)offset, (void)room;
    return fd < 0 ? -1 : (ssize_t)size;
}
#else
int main(void)
{
    return __pwrite64_chk(1, "", 0, 0, 1) == 0 ? 0 : 1;
}
#endif

// Stands in front of libc's ioctl, as some tools do.
int ioctl(int fd, unsigned long request, void *argument);

int ioctl(int fd, unsigned long request, void *argument)
{
    (void)fd, (void)request, (void)argument;
    return -1;
}

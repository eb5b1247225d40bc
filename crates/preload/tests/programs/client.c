// A small VFIO program: `client group|cdev save|load FILE`. It makes a device work on memory that it maps, by DMA and with
// interrupts, follows its dirty pages, and moves it, memory included, to another process by a file.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/vfio.h>

#define CHECK(what)                                                                                  \
    do {                                                                                             \
        if (!(what)) {                                                                               \
            fprintf(stderr, "line %d: %s (errno %d)\n", __LINE__, #what, errno);                     \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)

// What headers of before Linux 6.2, or 6.6, do not have.
enum { PRE_COPY = 6 };
struct bind {
    uint32_t argsz, flags;
    int32_t iommufd;
    uint32_t devid;
};
struct attach {
    uint32_t argsz, flags, pt;
};
struct ioas_alloc {
    uint32_t size, flags, ioas;
};
struct ioas_map {
    uint32_t size, flags, ioas, reserved;
    uint64_t user_va, length, iova;
};
#define BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
#define ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19)
#define IOAS_ALLOC _IO(VFIO_TYPE, 0x81)
#define IOAS_MAP _IO(VFIO_TYPE, 0x85)

enum { PAGE = 4096, PAGES = 64, IOVA = 0x200000 };
enum { COUNTER = 0, CONTROL = 0x10, DOORBELL = 0x18, SCRATCH_A = 0x20, SCRATCH_B = 0x28, STARTED = 1, INTERRUPTS = 2 };

static int device;
static uint64_t bar;
static uint8_t *memory;

static void open_by_group(void)
{
    int container = open("/dev/vfio/vfio", O_RDWR), group = open("/dev/vfio/7000", O_RDWR);
    CHECK(container >= 0 && group >= 0);
    CHECK(ioctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) == 1);
    CHECK(ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) == 0);
    CHECK(ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
    struct vfio_iommu_type1_dma_map map = {
        .argsz = sizeof(map),
        .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        .vaddr = (uintptr_t)memory,
        .iova = IOVA,
        .size = PAGES * PAGE,
    };
    CHECK(ioctl(container, VFIO_IOMMU_MAP_DMA, &map) == 0);
    device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, "0000:00:01.0");
    CHECK(device >= 0);
}

static void open_by_cdev(void)
{
    int iommufd = open("/dev/iommu", O_RDWR);
    device = open("/dev/vfio/devices/vfio7000", O_RDWR);
    CHECK(iommufd >= 0 && device >= 0);
    struct bind bind = { .argsz = sizeof(bind), .iommufd = iommufd };
    CHECK(ioctl(device, BIND, &bind) == 0);
    struct ioas_alloc alloc = { .size = sizeof(alloc) };
    CHECK(ioctl(iommufd, IOAS_ALLOC, &alloc) == 0);
    struct attach attach = { .argsz = sizeof(attach), .pt = alloc.ioas };
    CHECK(ioctl(device, ATTACH, &attach) == 0);
    struct ioas_map map = {
        .size = sizeof(map),
        .flags = 7,
        .ioas = alloc.ioas,
        .user_va = (uintptr_t)memory,
        .length = PAGES * PAGE,
        .iova = IOVA,
    };
    CHECK(ioctl(iommufd, IOAS_MAP, &map) == 0 && map.iova == IOVA);
}

static uint64_t get(unsigned reg)
{
    uint64_t value;
    CHECK(pread(device, &value, sizeof(value), (off_t)(bar + reg)) == sizeof(value));
    return value;
}

static void set(unsigned reg, uint64_t value)
{
    CHECK(pwrite(device, &value, sizeof(value), (off_t)(bar + reg)) == sizeof(value));
}

static int set_state(uint32_t state)
{
    struct {
        struct vfio_device_feature head;
        struct vfio_device_feature_mig_state state;
    } change = { { sizeof(change), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE }, { state, -1 } };
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &change) == 0);
    return change.state.data_fd;
}

// Rings the doorbell: when that returns, the first word of the device's memory is what was rung, and we were told.
static void ring(int interrupt, uint64_t value)
{
    uint64_t told = 0;
    set(DOORBELL, value);
    CHECK(memcmp(memory, &value, sizeof(value)) == 0);
    CHECK(read(interrupt, &told, sizeof(told)) == sizeof(told) && told >= 1);
}

static int interrupts(void)
{
    int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct vfio_irq_info info = { .argsz = sizeof(info), .index = VFIO_PCI_MSIX_IRQ_INDEX };
    CHECK(event >= 0 && ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0 && info.count >= 1);
    uint8_t room[sizeof(struct vfio_irq_set) + sizeof(int)];
    struct vfio_irq_set *order = (struct vfio_irq_set *)room;
    *order = (struct vfio_irq_set){
        .argsz = sizeof(room),
        .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
        .count = 1,
    };
    memcpy(order->data, &event, sizeof(event));
    CHECK(ioctl(device, VFIO_DEVICE_SET_IRQS, order) == 0);
    return event;
}

static void start_log(void)
{
    struct vfio_device_feature_dma_logging_range range = { IOVA, PAGES * PAGE };
    struct {
        struct vfio_device_feature head;
        struct vfio_device_feature_dma_logging_control control;
    } start = {
        { sizeof(start), VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START },
        { .page_size = PAGE, .num_ranges = 1, .ranges = (uintptr_t)&range },
    };
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &start) == 0);
}

// Copies the pages that were written to since the last time.
static int copy_dirty(uint8_t *copy)
{
    uint64_t bitmap = 0;
    struct {
        struct vfio_device_feature head;
        struct vfio_device_feature_dma_logging_report report;
    } report = {
        { sizeof(report), VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT },
        { .iova = IOVA, .length = PAGES * PAGE, .page_size = PAGE, .bitmap = (uintptr_t)&bitmap },
    };
    CHECK(ioctl(device, VFIO_DEVICE_FEATURE, &report) == 0);
    for (int page = 0; page < PAGES; page++)
        if (bitmap >> page & 1)
            memcpy(copy + page * PAGE, memory + page * PAGE, PAGE);
    return __builtin_popcountll(bitmap);
}

// Moves what the device has to give into the file, to its end; ENOMSG is one in pre-copy.
static void drain(int data, FILE *file, int end)
{
    static uint8_t bytes[10000];
    ssize_t got;
    while ((got = read(data, bytes, sizeof(bytes))) > 0)
        CHECK(fwrite(bytes, 1, (size_t)got, file) == (size_t)got);
    CHECK(end == 0 ? got == 0 : got == -1 && errno == end);
}

static void save(FILE *file)
{
    static uint8_t copy[PAGES * PAGE];
    int interrupt = interrupts();
    set(SCRATCH_A, IOVA);
    set(SCRATCH_B, PAGES * PAGE);
    set(CONTROL, STARTED | INTERRUPTS);
    for (uint64_t value = 1; value <= 3; value++)
        ring(interrupt, value);
    while (get(COUNTER) == 0)
        usleep(1000);
    start_log();
    memcpy(copy, memory, sizeof(copy));
    int data = set_state(PRE_COPY);
    CHECK(data >= 0);
    ring(interrupt, 4);
    drain(data, file, ENOMSG);
    CHECK(copy_dirty(copy) >= 1);
    ring(interrupt, 5);
    set_state(VFIO_DEVICE_STATE_STOP_COPY);
    CHECK(copy_dirty(copy) >= 1 && copy_dirty(copy) == 0);
    drain(data, file, 0);
    set_state(VFIO_DEVICE_STATE_STOP);
    CHECK(memcmp(copy, memory, sizeof(copy)) == 0);
    CHECK(fwrite(copy, 1, sizeof(copy), file) == sizeof(copy));
    printf("%llu\n", (unsigned long long)get(COUNTER));
}

static void load(FILE *file)
{
    static uint8_t bytes[4 << 20];
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    CHECK(size > PAGES * PAGE && size < sizeof(bytes));
    size -= PAGES * PAGE;
    memcpy(memory, bytes + size, PAGES * PAGE);
    int data = set_state(VFIO_DEVICE_STATE_RESUMING);
    for (size_t at = 0; at < size;) {
        ssize_t put = write(data, bytes + at, size - at);
        CHECK(put > 0);
        at += (size_t)put;
    }
    set_state(VFIO_DEVICE_STATE_STOP);
    printf("%llu\n", (unsigned long long)get(COUNTER));
    CHECK(get(SCRATCH_A) == IOVA && get(SCRATCH_B) == PAGES * PAGE && get(CONTROL) == (STARTED | INTERRUPTS));
    int interrupt = interrupts();
    set_state(VFIO_DEVICE_STATE_RUNNING);
    ring(interrupt, 6);
}

int main(int count, char **words)
{
    CHECK(count == 4);
    int saves = strcmp(words[2], "save") == 0;
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    if (strcmp(words[1], "cdev") == 0)
        open_by_cdev();
    else
        open_by_group();
    struct vfio_region_info info = { .argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX };
    CHECK(ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) == 0 && info.size >= PAGE);
    bar = info.offset;
    FILE *file = fopen(words[3], saves ? "w" : "r");
    CHECK(file != NULL);
    (saves ? save : load)(file);
    CHECK(fclose(file) == 0);
    return 0;
}

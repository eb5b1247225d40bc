/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A VFIO device without hardware, to test programs that migrate VFIO devices.
 *
 * README.md says what it does and lists its files in debugfs.
 */
#ifndef TESTDEV_H
#define TESTDEV_H

#include <linux/atomic.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/version.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#define TDEV_NAME "vfio-testdev"
#define TDEV_STATES (VFIO_DEVICE_STATE_PRE_COPY_P2P + 1)

/* The device's memory is cut into blocks: one record of the data each. */
#define TDEV_BLOCK 4096U
/* The DMA truth is kept in pages of this size, whatever the log's is. */
#define TDEV_PAGE_SHIFT 12

/* What a call can be, for counters and faults: trace.c has the names. */
enum tdev_call {
	TDEV_CALL_OPEN,
	TDEV_CALL_RESET,
	TDEV_CALL_SET_STATE,
	TDEV_CALL_ARC,
	TDEV_CALL_GET_STATE,
	TDEV_CALL_DATA_SIZE,
	TDEV_CALL_PRECOPY_INFO,
	TDEV_CALL_READ,
	TDEV_CALL_WRITE,
	TDEV_CALL_LOG_START,
	TDEV_CALL_LOG_STOP,
	TDEV_CALL_LOG_REPORT,
	TDEV_CALL_DMA,
	TDEV_CALL_SET_IRQS,
	TDEV_CALLS,
};

enum tdev_action {
	TDEV_NONE,
	TDEV_ERRNO,	/* fail, nothing changed */
	TDEV_LATE,	/* do it, and fail all the same */
	TDEV_ERROR,	/* fail and go into the error state; a data fd: fail for good */
	TDEV_SHORT,	/* move at most so many bytes */
	TDEV_END,	/* read: the data ends here */
	TDEV_CORRUPT,	/* read: one bit of the next record is wrong */
	TDEV_SWALLOW,	/* write: accept and drop */
	TDEV_VALUE,	/* answer this number */
	TDEV_DELAY,	/* sleep so many milliseconds, whatever signals come */
	TDEV_BLOCK_FOR,	/* the same, but a signal ends it with EINTR */
};

struct tdev_fault {
	enum tdev_call call;
	enum tdev_action action;
	int from, to;		/* arcs only; -1 is any */
	u64 left;		/* calls until it strikes; 0: spent */
	bool again;		/* it stays after it has struck */
	s64 argument;
	u64 struck;
};

#define TDEV_FAULTS 16

/* Everything that a guest can set or see in region 0, and that travels. */
struct tdev_registers {
	u64 counter;		/* DMA writes tried since the last reset or wipe */
	u64 dma_iova;
	u64 dma_length;
	u64 dma_period;		/* microseconds between two bursts */
	u64 control;		/* bit 0: write to memory continuously */
	u64 seed;		/* of the addresses that are written */
	u64 written;
	u64 failed;
	u64 queued;		/* doorbell writes that wait for running */
	u64 interrupts;
	u64 scratch;
};

struct tdev_content {
	u64 size;		/* bytes of device memory */
	u64 secret;		/* what the memory is made from; 0 after a wipe */
	u32 *generations;	/* one a block: how often it changed */
	struct tdev_registers registers;
};

struct tdev_trace_entry {
	u64 time;		/* nanoseconds, monotonic */
	enum tdev_call call;
	int from, to;		/* states, or -1 */
	int result;
};

#define TDEV_TRACE 4096

struct tdev_session;

struct testdev {
	struct vfio_device vdev;	/* first: the core allocates from here */
	struct device *dev;
	struct dentry *debugfs;

	/* Over all below but the trace, the faults and the counters. */
	struct mutex lock;
	bool open;
	enum vfio_device_mig_state state;
	struct tdev_content content;
	struct tdev_session *session;

	/* Knobs. */
	bool wipe;		/* at first open and last close, as vfio-pci does */
	bool keep_state;	/* over close and open, as mtty does */
	bool enomsg;		/* at a pause in pre-copy; else 0 */
	bool accept_corrupt;	/* data that makes no sense is taken for good */
	u32 data_size_mode;	/* 0 right, 1 unknown, 2 absurd */
	u64 initial_size;	/* bytes of memory in the initial data */
	u64 dirty_per_query;	/* bytes that change at each PRECOPY_INFO */
	u64 dirty_queries;	/* for so many of them; 0 is for ever */
	u64 reinit_at;		/* which PRECOPY_INFO of a session says REINIT */
	u64 log_page_size;	/* what the log answers; 0: what it was asked */

	/* DMA. */
	struct task_struct *worker;
	wait_queue_head_t work;
	struct xarray truth;	/* by iova >> TDEV_PAGE_SHIFT */
	u64 truth_pages;

	/* Device DMA logging. */
	bool logging;
	unsigned int log_shift;
	unsigned int log_count;
	struct vfio_device_feature_dma_logging_range *log_ranges;
	struct xarray log;	/* by iova >> log_shift */

	struct eventfd_ctx *trigger;

	/* Faults: faults.c. */
	spinlock_t fault_lock;
	struct tdev_fault faults[TDEV_FAULTS];
	wait_queue_head_t released;
	u32 releases;

	/* Trace and counters: trace.c. */
	spinlock_t trace_lock;
	struct tdev_trace_entry trace[TDEV_TRACE];
	u64 traced;
	atomic64_t calls[TDEV_CALLS];
	atomic64_t arcs[TDEV_STATES][TDEV_STATES];
	u64 wipes;
	u64 forbidden;		/* accesses to region 0 in a state without */
	u64 corrupt_accepted;
};

static inline struct testdev *tdev_of(struct vfio_device *vdev)
{
	return container_of(vdev, struct testdev, vdev);
}

/* device.c */
extern const struct vfio_device_ops tdev_ops;
void tdev_wipe(struct testdev *t);

/* content.c */
u64 tdev_mix(u64 z);
u32 tdev_blocks(const struct testdev *t);
u32 tdev_block_length(const struct testdev *t, u32 block);
void tdev_fill_block(u64 secret, u32 block, u32 generation, u64 *out);
u64 tdev_generations_sum(const struct testdev *t);
int tdev_resize(struct testdev *t, u64 size);

/* registers.c */
ssize_t tdev_region_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *pos);
ssize_t tdev_region_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			  loff_t *pos);

/* irq.c */
int tdev_set_irqs(struct testdev *t, unsigned long arg);
void tdev_disarm(struct testdev *t);
void tdev_interrupt(struct testdev *t);

/* states.c */
extern const struct vfio_migration_ops tdev_migration_ops;
bool tdev_runs(const struct testdev *t);

/* saving.c */
struct file *tdev_save(struct testdev *t);
void tdev_save_stopped(struct testdev *t);
void tdev_changed(struct testdev *t, u32 block);
u64 tdev_size_left(const struct testdev *t);
/* resuming.c */
struct file *tdev_resume(struct testdev *t);
int tdev_resume_done(struct testdev *t);
/* session.c */
void tdev_session_end(struct testdev *t);

/* dma.c */
void tdev_dma_init(struct testdev *t);
void tdev_dma_free(struct testdev *t);
int tdev_dma_start(struct testdev *t);
void tdev_dma_stop(struct testdev *t);
void tdev_dma_burst(struct testdev *t, u64 writes);
void tdev_truth_clear(struct testdev *t);

/* log.c */
extern const struct vfio_log_ops tdev_log_ops;
void tdev_log_written(struct testdev *t, u64 iova);
void tdev_log_off(struct testdev *t);

/* faults.c */
int tdev_fault(struct testdev *t, enum tdev_call call, struct tdev_fault *effect);
int tdev_fault_arc(struct testdev *t, int from, int to, struct tdev_fault *effect);
int tdev_fault_parse(struct testdev *t, char *text);
void tdev_fault_clear(struct testdev *t);
void tdev_fault_release(struct testdev *t);
void tdev_fault_show(struct testdev *t, struct seq_file *m);

/* trace.c */
extern const char *const tdev_state_names[TDEV_STATES];
extern const char *const tdev_call_names[TDEV_CALLS];
void tdev_trace(struct testdev *t, enum tdev_call call, int from, int to, int result);
void tdev_trace_show(struct testdev *t, struct seq_file *m);
void tdev_counts_show(struct testdev *t, struct seq_file *m);
void tdev_counts_clear(struct testdev *t);

/* debugfs.c */
void tdev_debugfs_init(struct testdev *t, struct dentry *root);

#endif

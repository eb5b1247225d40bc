// SPDX-License-Identifier: GPL-2.0
/* What happened to the device, in order and in numbers. */
#include <linux/seq_file.h>
#include <linux/timekeeping.h>

#include "testdev.h"

const char *const tdev_state_names[TDEV_STATES] = {
	[VFIO_DEVICE_STATE_ERROR] = "error",
	[VFIO_DEVICE_STATE_STOP] = "stop",
	[VFIO_DEVICE_STATE_RUNNING] = "running",
	[VFIO_DEVICE_STATE_STOP_COPY] = "stop-copy",
	[VFIO_DEVICE_STATE_RESUMING] = "resuming",
	[VFIO_DEVICE_STATE_RUNNING_P2P] = "running-p2p",
	[VFIO_DEVICE_STATE_PRE_COPY] = "pre-copy",
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = "pre-copy-p2p",
};

const char *const tdev_call_names[TDEV_CALLS] = {
	[TDEV_CALL_OPEN] = "open",
	[TDEV_CALL_RESET] = "reset",
	[TDEV_CALL_SET_STATE] = "set-state",
	[TDEV_CALL_ARC] = "arc",
	[TDEV_CALL_GET_STATE] = "get-state",
	[TDEV_CALL_DATA_SIZE] = "data-size",
	[TDEV_CALL_PRECOPY_INFO] = "precopy-info",
	[TDEV_CALL_READ] = "read",
	[TDEV_CALL_WRITE] = "write",
	[TDEV_CALL_LOG_START] = "log-start",
	[TDEV_CALL_LOG_STOP] = "log-stop",
	[TDEV_CALL_LOG_REPORT] = "log-report",
	[TDEV_CALL_DMA] = "dma",
	[TDEV_CALL_SET_IRQS] = "set-irqs",
};

/* The newest TDEV_TRACE entries are kept. */
void tdev_trace(struct testdev *t, enum tdev_call call, int from, int to, int result)
{
	struct tdev_trace_entry entry = {
		.time = ktime_get_ns(),
		.call = call,
		.from = from,
		.to = to,
		.result = result,
	};

	spin_lock(&t->trace_lock);
	t->trace[t->traced++ % TDEV_TRACE] = entry;
	spin_unlock(&t->trace_lock);
}

static const char *tdev_state_name(int state)
{
	return state >= 0 && state < TDEV_STATES ? tdev_state_names[state] : "-";
}

/* One line an entry: number, microseconds, what, from, to, result (0 or -errno). */
void tdev_trace_show(struct testdev *t, struct seq_file *m)
{
	struct tdev_trace_entry e;
	u64 i, end;

	spin_lock(&t->trace_lock);
	end = t->traced;
	spin_unlock(&t->trace_lock);
	for (i = end > TDEV_TRACE ? end - TDEV_TRACE : 0; i < end; i++) {
		spin_lock(&t->trace_lock);
		e = t->trace[i % TDEV_TRACE];
		spin_unlock(&t->trace_lock);
		seq_printf(m, "%llu %llu %s %s %s %d\n", i, e.time / 1000, tdev_call_names[e.call],
			   tdev_state_name(e.from), tdev_state_name(e.to), e.result);
	}
}

/* One line a counter: name, number. An arc is counted when it succeeded. */
void tdev_counts_show(struct testdev *t, struct seq_file *m)
{
	unsigned int i, from, to;
	s64 n;

	for (i = 0; i < TDEV_CALLS; i++)
		seq_printf(m, "%s %lld\n", tdev_call_names[i], atomic64_read(&t->calls[i]));
	seq_printf(m, "wipes %llu\nforbidden %llu\ncorrupt-accepted %llu\n", t->wipes,
		   t->forbidden, t->corrupt_accepted);
	seq_printf(m, "counter %llu\ndma-written %llu\ndma-failed %llu\ninterrupts %llu\n",
		   t->content.registers.counter, t->content.registers.written,
		   t->content.registers.failed, t->content.registers.interrupts);
	for (from = 0; from < TDEV_STATES; from++)
		for (to = 0; to < TDEV_STATES; to++) {
			n = atomic64_read(&t->arcs[from][to]);
			if (n)
				seq_printf(m, "arc:%s>%s %lld\n", tdev_state_names[from],
					   tdev_state_names[to], n);
		}
}

/* Counters and trace begin anew; what belongs to the content stays. */
void tdev_counts_clear(struct testdev *t)
{
	unsigned int i, from, to;

	for (i = 0; i < TDEV_CALLS; i++)
		atomic64_set(&t->calls[i], 0);
	for (from = 0; from < TDEV_STATES; from++)
		for (to = 0; to < TDEV_STATES; to++)
			atomic64_set(&t->arcs[from][to], 0);
	t->wipes = 0;
	t->forbidden = 0;
	t->corrupt_accepted = 0;
	spin_lock(&t->trace_lock);
	t->traced = 0;
	spin_unlock(&t->trace_lock);
}

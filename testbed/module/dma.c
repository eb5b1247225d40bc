// SPDX-License-Identifier: GPL-2.0
/*
 * Real DMA into the user's mapping, and the truth about it: which pages were
 * written. A write counts only if it succeeded.
 */
#include <linux/kthread.h>
#include <linux/delay.h>

#include "testdev.h"

/* Writes at one go: the lock is free between two. */
#define TDEV_BURST 64

void tdev_dma_init(struct testdev *t)
{
	init_waitqueue_head(&t->work);
	xa_init(&t->truth);
	xa_init(&t->log);
}

void tdev_dma_free(struct testdev *t)
{
	xa_destroy(&t->truth);
	xa_destroy(&t->log);
}

void tdev_truth_clear(struct testdev *t)
{
	lockdep_assert_held(&t->lock);
	xa_destroy(&t->truth);
	t->truth_pages = 0;
}

static void tdev_truth_mark(struct testdev *t, u64 iova)
{
	unsigned long page = iova >> TDEV_PAGE_SHIFT;

	if (xa_load(&t->truth, page))
		return;
	/* No memory for the truth would make a lie of it: say so. */
	if (xa_err(xa_store(&t->truth, page, xa_mk_value(1), GFP_KERNEL)))
		dev_err(t->dev, "no memory: the truth lacks a page\n");
	else
		t->truth_pages++;
}

/* One write of the counter to a random place of the area. */
static void tdev_dma_write(struct testdev *t)
{
	struct tdev_registers *r = &t->content.registers;
	struct tdev_fault effect;
	u64 iova, value;
	int ret;

	r->counter++;
	r->seed += 0x9e3779b97f4a7c15ULL;
	iova = r->dma_iova + tdev_mix(r->seed) % (r->dma_length / sizeof(u64)) * sizeof(u64);
	value = r->counter;
	ret = tdev_fault(t, TDEV_CALL_DMA, &effect);
	/* Written and marked under one lock: who asks the log finds all that is in memory. */
	if (!ret)
		ret = vfio_dma_rw(&t->vdev, iova, &value, sizeof(value), true);
	if (ret) {
		r->failed++;
		return;
	}
	tdev_truth_mark(t, iova);
	tdev_log_written(t, iova);
	r->written++;
	if (tdev_blocks(t))
		tdev_changed(t, tdev_mix(r->seed ^ 1) % tdev_blocks(t));
}

void tdev_dma_burst(struct testdev *t, u64 writes)
{
	const struct tdev_registers *r = &t->content.registers;

	lockdep_assert_held(&t->lock);
	/* Aligned, so that no write is on two pages; not past the last address. */
	if (!IS_ALIGNED(r->dma_iova, sizeof(u64)) || r->dma_length < sizeof(u64) ||
	    r->dma_iova + r->dma_length < r->dma_iova)
		return;
	while (writes--) {
		tdev_dma_write(t);
		cond_resched();
	}
}

static bool tdev_dma_wanted(const struct testdev *t)
{
	return tdev_runs(t) && (t->content.registers.control || t->content.registers.queued);
}

/* Microseconds to wait before the next burst. */
static u64 tdev_dma_work(struct testdev *t)
{
	struct tdev_registers *r = &t->content.registers;
	u64 writes = TDEV_BURST;
	u64 period;

	mutex_lock(&t->lock);
	if (tdev_dma_wanted(t)) {
		if (r->queued) {
			writes = min_t(u64, r->queued, TDEV_BURST);
			r->queued -= writes;
			if (!r->queued)
				tdev_interrupt(t);
		}
		tdev_dma_burst(t, writes);
	}
	period = r->queued ? 0 : r->dma_period;
	mutex_unlock(&t->lock);
	return clamp_t(u64, period, 20, 1000000);
}

static int tdev_worker(void *data)
{
	struct testdev *t = data;
	u64 period;

	while (!kthread_should_stop()) {
		wait_event_interruptible(t->work, kthread_should_stop() || tdev_dma_wanted(t));
		if (kthread_should_stop())
			break;
		period = tdev_dma_work(t);
		usleep_range(period, period + 20);
	}
	return 0;
}

int tdev_dma_start(struct testdev *t)
{
	struct task_struct *worker = kthread_run(tdev_worker, t, "%s", dev_name(t->dev));

	if (IS_ERR(worker))
		return PTR_ERR(worker);
	t->worker = worker;
	return 0;
}

void tdev_dma_stop(struct testdev *t)
{
	kthread_stop(t->worker);
	t->worker = NULL;
}

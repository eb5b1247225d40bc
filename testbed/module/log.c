// SPDX-License-Identifier: GPL-2.0
/* Device DMA logging: read and clear, at the page size that the device chose. */
#include <linux/interval_tree.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "testdev.h"

void tdev_log_off(struct testdev *t)
{
	lockdep_assert_held(&t->lock);
	t->logging = false;
	t->log_count = 0;
	kfree(t->log_ranges);
	t->log_ranges = NULL;
	xa_destroy(&t->log);
}

/* Called for each write that succeeded. */
void tdev_log_written(struct testdev *t, u64 iova)
{
	unsigned long page = iova >> t->log_shift;
	unsigned int i;

	if (!t->logging)
		return;
	for (i = 0; i < t->log_count; i++)
		if (iova - t->log_ranges[i].iova < t->log_ranges[i].length)
			break;
	if (i == t->log_count || xa_load(&t->log, page))
		return;
	if (xa_err(xa_store(&t->log, page, xa_mk_value(1), GFP_KERNEL)))
		dev_err(t->dev, "no memory: the log lacks a page\n");
}

/* The size that was asked for, if it makes sense and nobody wants another. */
static u64 tdev_log_page(const struct testdev *t, u64 asked)
{
	u64 page = t->log_page_size ? t->log_page_size : asked;

	return page >= SZ_4K && page <= SZ_1G && is_power_of_2(page) ? page : SZ_4K;
}

static int tdev_log_begin(struct testdev *t, struct rb_root_cached *ranges, u32 count,
			  u64 *page_size)
{
	struct rb_node *node;
	unsigned int i = 0;

	if (t->logging)
		return -EINVAL;
	t->log_ranges = kcalloc(count, sizeof(*t->log_ranges), GFP_KERNEL_ACCOUNT);
	if (!t->log_ranges)
		return -ENOMEM;
	for (node = rb_first_cached(ranges); node && i < count; node = rb_next(node), i++) {
		struct interval_tree_node *range =
			rb_entry(node, struct interval_tree_node, rb);

		t->log_ranges[i].iova = range->start;
		t->log_ranges[i].length = range->last - range->start + 1;
	}
	t->log_count = i;
	*page_size = tdev_log_page(t, *page_size);
	t->log_shift = ilog2(*page_size);
	t->logging = true;
	return 0;
}

static int tdev_log_start(struct vfio_device *vdev, struct rb_root_cached *ranges, u32 count,
			  u64 *page_size)
{
	struct testdev *t = tdev_of(vdev);
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_LOG_START, &effect);
	mutex_lock(&t->lock);
	if (!ret)
		ret = tdev_log_begin(t, ranges, count, page_size);
	tdev_trace(t, TDEV_CALL_LOG_START, -1, -1, ret);
	mutex_unlock(&t->lock);
	return ret;
}

static int tdev_log_stop(struct vfio_device *vdev)
{
	struct testdev *t = tdev_of(vdev);
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_LOG_STOP, &effect);
	mutex_lock(&t->lock);
	if (!ret)
		tdev_log_off(t);
	tdev_trace(t, TDEV_CALL_LOG_STOP, -1, -1, ret);
	mutex_unlock(&t->lock);
	return ret;
}

/* The core calls this in pieces: each has its own iova and length. */
static int tdev_log_read_and_clear(struct vfio_device *vdev, unsigned long iova,
				   unsigned long length, struct iova_bitmap *dirty)
{
	struct testdev *t = tdev_of(vdev);
	unsigned long last = iova + length - 1;
	struct tdev_fault effect;
	unsigned long page;
	void *entry;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_LOG_REPORT, &effect);
	if (ret)
		return ret;
	/* The core lets it through, and its last address would be before its first. */
	if (!length)
		return 0;
	mutex_lock(&t->lock);
	if (!t->logging) {
		mutex_unlock(&t->lock);
		return -EINVAL;
	}
	xa_for_each_range(&t->log, page, entry, iova >> t->log_shift, last >> t->log_shift) {
		unsigned long first = max(page << t->log_shift, iova);
		unsigned long end = min((page << t->log_shift) + (1UL << t->log_shift) - 1, last);

		iova_bitmap_set(dirty, first, end - first + 1);
		/* A page that is only half asked for is still dirty in its other half. */
		if (end - first + 1 == 1UL << t->log_shift)
			xa_erase(&t->log, page);
	}
	mutex_unlock(&t->lock);
	return 0;
}

const struct vfio_log_ops tdev_log_ops = {
	.log_start = tdev_log_start,
	.log_stop = tdev_log_stop,
	.log_read_and_clear = tdev_log_read_and_clear,
};

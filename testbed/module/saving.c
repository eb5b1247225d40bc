// SPDX-License-Identifier: GPL-2.0
/* The data fd of a device that is saved, in pre-copy and in stop-copy. */
#include <linux/bitmap.h>
#include <linux/uaccess.h>

#include "session.h"

static void tdev_mark(struct tdev_session *s, u32 block)
{
	if (!test_and_set_bit(block, s->marked))
		s->marked_count++;
}

/* The initial data: the head and the first blocks. */
static void tdev_mark_initial(struct tdev_session *s)
{
	struct testdev *t = s->t;
	u32 block, blocks = min_t(u64, DIV_ROUND_UP(t->initial_size, TDEV_BLOCK), tdev_blocks(t));

	s->initial = true;
	s->head_sent = !t->content.size;
	for (block = 0; block < blocks; block++)
		tdev_mark(s, block);
}

/* Says that the device's memory changed: called while it runs. */
void tdev_changed(struct testdev *t, u32 block)
{
	struct tdev_session *s = t->session;

	t->content.generations[block]++;
	/* What was not sent, or is to be sent, goes with its newest content anyhow. */
	if (s && test_bit(block, s->sent) && !test_bit(block, s->marked))
		set_bit(block, s->changed);
}

/* Announces what changed. */
static void tdev_mark_changed(struct tdev_session *s)
{
	u32 block, blocks = tdev_blocks(s->t);

	for_each_set_bit(block, s->changed, blocks)
		tdev_mark(s, block);
	bitmap_zero(s->changed, blocks);
}

/* From pre-copy into stop-copy: all that is missing is to be read now. */
void tdev_save_stopped(struct testdev *t)
{
	struct tdev_session *s = t->session;
	u32 block, blocks = tdev_blocks(t);

	if (!s)
		return;
	tdev_mark_changed(s);
	for_each_clear_bit(block, s->sent, blocks)
		tdev_mark(s, block);
	s->initial = false;
}

static size_t tdev_record_length(const struct testdev *t, u32 block)
{
	return sizeof(struct tdev_record) + tdev_block_length(t, block);
}

/* Bytes that can be read before the next pause. */
static u64 tdev_marked_bytes(const struct tdev_session *s)
{
	u64 bytes = s->have - s->taken;
	u32 blocks = tdev_blocks(s->t);

	if (!s->head_sent)
		bytes += sizeof(struct tdev_record) + sizeof(struct tdev_head);
	bytes += (u64)s->marked_count * (sizeof(struct tdev_record) + TDEV_BLOCK);
	if (blocks && test_bit(blocks - 1, s->marked))
		bytes -= TDEV_BLOCK - tdev_block_length(s->t, blocks - 1);
	return bytes;
}

/* Bytes that a stop-copy from here would give. */
u64 tdev_size_left(const struct testdev *t)
{
	const u64 head = sizeof(struct tdev_record) + sizeof(struct tdev_head);
	const u64 tail = sizeof(struct tdev_record) + sizeof(struct tdev_tail);
	const struct tdev_session *s = t->session;
	u32 block, blocks = tdev_blocks(t);
	u64 bytes;

	lockdep_assert_held(&t->lock);
	if (!t->content.size)
		return 0;
	if (!s || t->state == VFIO_DEVICE_STATE_RESUMING)
		return head + t->content.size + (u64)blocks * sizeof(struct tdev_record) + tail;
	bytes = tdev_marked_bytes(s) + (s->tail_sent ? 0 : tail);
	if (t->state != VFIO_DEVICE_STATE_STOP_COPY)
		for (block = 0; block < blocks; block++)
			if (!test_bit(block, s->marked) &&
			    (!test_bit(block, s->sent) || test_bit(block, s->changed)))
				bytes += tdev_record_length(t, block);
	return bytes;
}

static void tdev_put_record(struct tdev_session *s, enum tdev_record_kind kind, u32 length)
{
	s->header.magic = TDEV_RECORD_MAGIC;
	s->header.kind = kind;
	s->header.length = length;
	s->header.check = tdev_record_check(s);
	s->have = sizeof(s->header) + length;
	s->taken = 0;
	if (s->corrupt_next)
		s->bytes[sizeof(s->header) / 2] ^= 1;
	s->corrupt_next = false;
}

static void tdev_put_block(struct tdev_session *s, u32 block)
{
	struct testdev *t = s->t;

	s->cursor = block + 1;
	clear_bit(block, s->marked);
	s->marked_count--;
	set_bit(block, s->sent);
	s->header.block = block;
	s->header.generation = t->content.generations[block];
	tdev_fill_block(t->content.secret, block, s->header.generation, s->words);
	tdev_put_record(s, TDEV_BLOCK_OF_MEMORY, tdev_block_length(t, block));
}

/* False if there is none now. */
static bool tdev_next_record(struct tdev_session *s)
{
	struct testdev *t = s->t;
	u32 block, blocks = tdev_blocks(t);

	memset(&s->header, 0, sizeof(s->header));
	if (!s->head_sent) {
		s->head_sent = true;
		s->head = (struct tdev_head) {
			.version = TDEV_RECORD_VERSION,
			.size = t->content.size,
			.secret = t->content.secret,
		};
		tdev_put_record(s, TDEV_HEAD, sizeof(s->head));
		return true;
	}
	if (s->marked_count) {
		block = find_next_bit(s->marked, blocks, s->cursor);
		if (block >= blocks)
			block = find_first_bit(s->marked, blocks);
		tdev_put_block(s, block);
		return true;
	}
	s->initial = false;
	if (t->state != VFIO_DEVICE_STATE_STOP_COPY || s->tail_sent || !t->content.size)
		return false;
	s->tail_sent = true;
	s->tail.generations_sum = tdev_generations_sum(t);
	s->tail.registers = t->content.registers;
	tdev_put_record(s, TDEV_TAIL, sizeof(s->tail));
	return true;
}

static ssize_t tdev_read_locked(struct tdev_session *s, char __user *buf, size_t count)
{
	ssize_t done = 0;
	size_t n;

	if (s->dead)
		return -ENODEV;
	if (s->error)
		return s->error;
	while (count && !s->ended) {
		if (s->taken == s->have && !tdev_next_record(s))
			break;
		n = min(count, s->have - s->taken);
		if (copy_to_user(buf + done, s->bytes + s->taken, n))
			return done ? done : -EFAULT;
		s->taken += n;
		s->moved += n;
		done += n;
		count -= n;
	}
	if (!done && count && s->t->state != VFIO_DEVICE_STATE_STOP_COPY && s->t->enomsg)
		return -ENOMSG;
	return done;
}

static ssize_t tdev_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct tdev_session *s = file->private_data;
	struct testdev *t = s->t;
	struct tdev_fault effect;
	ssize_t done;

	/* Before the lock: a read that blocks must not hold up a change of state. */
	done = tdev_fault(t, TDEV_CALL_READ, &effect);
	if (done)
		return done;
	mutex_lock(&t->lock);
	switch (effect.action) {
	case TDEV_ERROR:
		s->error = -(int)effect.argument;
		break;
	case TDEV_SHORT:
		count = min_t(u64, count, effect.argument);
		break;
	case TDEV_END:
		s->ended = true;
		break;
	case TDEV_CORRUPT:
		s->corrupt_next = true;
		break;
	default:
		break;
	}
	done = tdev_read_locked(s, buf, count);
	mutex_unlock(&t->lock);
	return done;
}

/* New initial data: another secret, so that nothing sent so far is of use. */
static void tdev_reinit(struct tdev_session *s)
{
	struct testdev *t = s->t;
	u32 blocks = tdev_blocks(t);

	t->content.secret = tdev_mix(t->content.secret + 1);
	bitmap_zero(s->marked, blocks);
	bitmap_zero(s->changed, blocks);
	bitmap_zero(s->sent, blocks);
	s->marked_count = 0;
	s->cursor = 0;
	s->reinited = true;
	tdev_mark_initial(s);
}

/* Asking is what makes new data, as with mlx5 and virtio. */
static void tdev_query(struct tdev_session *s)
{
	struct testdev *t = s->t;
	u32 blocks = tdev_blocks(t);
	u64 n;

	/* A device in its P2P state changes nothing by itself. */
	if (t->state != VFIO_DEVICE_STATE_PRE_COPY || s->marked_count || !s->head_sent)
		return;
	if (t->dirty_per_query && blocks && (!t->dirty_queries || s->dirtied < t->dirty_queries)) {
		s->dirtied++;
		for (n = 0; n < min_t(u64, DIV_ROUND_UP(t->dirty_per_query, TDEV_BLOCK), blocks); n++)
			tdev_changed(t, (tdev_mix(s->queries) % blocks + n) % blocks);
	}
	tdev_mark_changed(s);
}

static bool tdev_info_v2(const struct testdev *t)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
	return t->vdev.precopy_info_v2;
#else
	return false;
#endif
}

/* Once a session, and never in P2P: as mlx5. */
static bool tdev_reinit_due(const struct tdev_session *s)
{
	const struct testdev *t = s->t;

	return t->reinit_at && s->queries >= t->reinit_at && !s->reinited &&
	       t->state == VFIO_DEVICE_STATE_PRE_COPY;
}

static int tdev_precopy_info(struct tdev_session *s, struct vfio_precopy_info *info)
{
	struct testdev *t = s->t;

	if (s->dead)
		return -ENODEV;
	if (s->error)
		return s->error;
	if (t->state != VFIO_DEVICE_STATE_PRE_COPY && t->state != VFIO_DEVICE_STATE_PRE_COPY_P2P)
		return -EINVAL;
	if (tdev_info_v2(t))
		info->flags = 0;
	s->queries++;
	if (tdev_info_v2(t) && tdev_reinit_due(s)) {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
		info->flags |= VFIO_PRECOPY_INFO_REINIT;
#endif
		tdev_reinit(s);
	} else {
		tdev_query(s);
	}
	info->initial_bytes = s->initial ? tdev_marked_bytes(s) : 0;
	info->dirty_bytes = s->initial ? 0 : tdev_marked_bytes(s);
	return 0;
}

static long tdev_save_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_precopy_info, dirty_bytes);
	struct tdev_session *s = file->private_data;
	struct testdev *t = s->t;
	struct vfio_precopy_info info;
	struct tdev_fault effect;
	int ret;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO || !(t->vdev.migration_flags & VFIO_MIGRATION_PRE_COPY))
		return -ENOTTY;
	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = tdev_fault(t, TDEV_CALL_PRECOPY_INFO, &effect);
	if (ret)
		return ret;
	mutex_lock(&t->lock);
	if (effect.action == TDEV_ERROR)
		s->error = -(int)effect.argument;
	ret = tdev_precopy_info(s, &info);
	mutex_unlock(&t->lock);
	if (ret)
		return ret;
	if (effect.action == TDEV_VALUE)
		info.initial_bytes = info.dirty_bytes = effect.argument;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

static const struct file_operations tdev_save_fops = {
	.owner = THIS_MODULE,
	.read = tdev_read,
	.unlocked_ioctl = tdev_save_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = tdev_session_release,
};

/* Into pre-copy, or from stop into stop-copy. The state is still the one before. */
struct file *tdev_save(struct testdev *t)
{
	struct tdev_session *s = tdev_session_new(t, &tdev_save_fops, O_RDONLY);

	if (IS_ERR(s))
		return ERR_CAST(s);
	tdev_mark_initial(s);
	if (t->state == VFIO_DEVICE_STATE_STOP)
		tdev_save_stopped(t);
	return s->file;
}

// SPDX-License-Identifier: GPL-2.0
/* The data fd of a device that is loaded: every byte is checked. */
#include <linux/bitmap.h>
#include <linux/uaccess.h>

#include "session.h"

static int tdev_take_head(struct tdev_session *s)
{
	struct testdev *t = s->t;

	if (s->head.version != TDEV_RECORD_VERSION || s->head.size != t->content.size)
		return -EINVAL;
	/* Whatever came before a second head is void. */
	bitmap_zero(s->marked, tdev_blocks(t));
	s->marked_count = 0;
	s->secret = s->head.secret;
	s->has_head = true;
	return 0;
}

static int tdev_take_block(struct tdev_session *s)
{
	struct testdev *t = s->t;
	u32 block = s->header.block;

	if (!s->has_head || block >= tdev_blocks(t) ||
	    s->header.length != tdev_block_length(t, block))
		return -EINVAL;
	tdev_fill_block(s->secret, block, s->header.generation, s->expected);
	if (memcmp(s->expected, s->words, s->header.length))
		return -EFAULT;
	t->content.generations[block] = s->header.generation;
	if (!test_and_set_bit(block, s->marked))
		s->marked_count++;
	return 0;
}

static int tdev_take_tail(struct tdev_session *s)
{
	struct testdev *t = s->t;

	if (!s->has_head || s->marked_count != tdev_blocks(t) ||
	    s->tail.generations_sum != tdev_generations_sum(t))
		return -EINVAL;
	s->registers = s->tail.registers;
	s->complete = true;
	return 0;
}

/* How long what follows a header may be; 0 if there is no such record. */
static u32 tdev_record_expects(const struct tdev_record *r)
{
	switch (r->kind) {
	case TDEV_HEAD:
		return sizeof(struct tdev_head);
	case TDEV_BLOCK_OF_MEMORY:
		return r->length <= TDEV_BLOCK ? r->length : 0;
	case TDEV_TAIL:
		return sizeof(struct tdev_tail);
	default:
		return 0;
	}
}

static int tdev_check_header(struct tdev_session *s)
{
	const struct tdev_record *r = &s->header;

	if (s->complete)
		return -ENOMEM;
	if (r->magic != TDEV_RECORD_MAGIC || !r->length || r->length != tdev_record_expects(r))
		return -EFAULT;
	return 0;
}

static int tdev_take_record(struct tdev_session *s)
{
	if (s->header.check != tdev_record_check(s))
		return -EFAULT;
	switch (s->header.kind) {
	case TDEV_HEAD:
		return tdev_take_head(s);
	case TDEV_BLOCK_OF_MEMORY:
		return tdev_take_block(s);
	default:
		return tdev_take_tail(s);
	}
}

/* How many bytes the record at hand still lacks. */
static size_t tdev_record_lacks(const struct tdev_session *s)
{
	size_t whole = sizeof(s->header);

	if (s->have >= sizeof(s->header))
		whole += s->header.length;
	return whole - s->have;
}

static int tdev_take_bytes(struct tdev_session *s)
{
	int ret = 0;

	if (s->have == sizeof(s->header))
		ret = tdev_check_header(s);
	if (!ret && !tdev_record_lacks(s)) {
		ret = tdev_take_record(s);
		s->have = 0;
	}
	if (ret && s->t->accept_corrupt) {
		/* The driver that believes anything: nothing is looked at any more. */
		s->t->corrupt_accepted++;
		s->swallow = true;
		s->have = 0;
		return 0;
	}
	return ret;
}

static ssize_t tdev_write_locked(struct tdev_session *s, const char __user *buf, size_t count)
{
	ssize_t done = 0;
	size_t n;
	int ret;

	if (s->dead)
		return -ENODEV;
	if (s->error)
		return s->error;
	while (count) {
		if (s->swallow) {
			done += count;
			s->moved += count;
			break;
		}
		/* A device without memory has no data. */
		ret = s->t->content.size ? 0 : -ENOMEM;
		n = min(count, tdev_record_lacks(s));
		if (!ret && copy_from_user(s->bytes + s->have, buf + done, n))
			return done ? done : -EFAULT;
		if (!ret) {
			s->have += n;
			ret = tdev_take_bytes(s);
		}
		if (ret) {
			s->error = ret;
			return ret;
		}
		s->moved += n;
		done += n;
		count -= n;
	}
	return done;
}

static ssize_t tdev_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	struct tdev_session *s = file->private_data;
	struct testdev *t = s->t;
	struct tdev_fault effect;
	ssize_t done;

	/* Before the lock: a write that blocks must not hold up a change of state. */
	done = tdev_fault(t, TDEV_CALL_WRITE, &effect);
	if (done)
		return done;
	mutex_lock(&t->lock);
	if (effect.action == TDEV_ERROR)
		s->error = -(int)effect.argument;
	if (effect.action == TDEV_SHORT)
		count = min_t(u64, count, effect.argument);
	if (effect.action == TDEV_SWALLOW && !s->dead && !s->error)
		done = count;
	else
		done = tdev_write_locked(s, buf, count);
	mutex_unlock(&t->lock);
	return done;
}

static const struct file_operations tdev_resume_fops = {
	.owner = THIS_MODULE,
	.write = tdev_write,
	.release = tdev_session_release,
};

/* From stop into resuming: what the device held is lost. */
struct file *tdev_resume(struct testdev *t)
{
	struct tdev_session *s = tdev_session_new(t, &tdev_resume_fops, O_WRONLY);

	if (IS_ERR(s))
		return ERR_CAST(s);
	tdev_wipe(t);
	return s->file;
}

/* Out of resuming: here it shows whether all came. If not, the state stays. */
int tdev_resume_done(struct testdev *t)
{
	struct tdev_session *s = t->session;

	/* A device whose state outlived its close has none. */
	if (!s || s->error)
		return -EINVAL;
	if (s->swallow || (!t->content.size && !s->moved))
		return 0;
	if (!s->complete || s->have)
		return -EINVAL;
	t->content.secret = s->secret;
	t->content.registers = s->registers;
	return 0;
}

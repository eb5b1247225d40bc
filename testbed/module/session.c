// SPDX-License-Identifier: GPL-2.0
/* Making and ending sessions: what saving and resuming have in common. */
#include <linux/anon_inodes.h>
#include <linux/bitmap.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "session.h"

/* Finds every single wrong bit. Blocks need none: their content is known. */
u32 tdev_record_check(const struct tdev_session *s)
{
	const struct tdev_record *r = &s->header;
	u64 sum = tdev_mix((u64)r->kind << 32 | r->length);
	unsigned int i;

	sum = tdev_mix(sum ^ ((u64)r->block << 32 | r->generation));
	if (r->kind != TDEV_BLOCK_OF_MEMORY)
		for (i = 0; i < r->length / sizeof(u64); i++)
			sum = tdev_mix(sum ^ s->words[i]);
	return (u32)(sum ^ sum >> 32);
}

static unsigned long *tdev_block_bits(struct testdev *t)
{
	return vzalloc((BITS_TO_LONGS(tdev_blocks(t)) + 1) * sizeof(unsigned long));
}

static void tdev_session_free(struct tdev_session *s)
{
	vfree(s->marked);
	vfree(s->changed);
	vfree(s->sent);
	kfree(s);
}

/* The device keeps one reference to the file; the caller gets another, in s->file. */
struct tdev_session *tdev_session_new(struct testdev *t, const struct file_operations *fops,
				      int flags)
{
	struct tdev_session *s;
	struct file *file;

	lockdep_assert_held(&t->lock);
	s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	if (!s)
		return ERR_PTR(-ENOMEM);
	s->t = t;
	s->marked = tdev_block_bits(t);
	s->changed = tdev_block_bits(t);
	s->sent = tdev_block_bits(t);
	if (!s->marked || !s->changed || !s->sent) {
		tdev_session_free(s);
		return ERR_PTR(-ENOMEM);
	}
	file = anon_inode_getfile("[" TDEV_NAME "]", fops, s, flags);
	if (IS_ERR(file)) {
		tdev_session_free(s);
		return ERR_CAST(file);
	}
	/* No position: pread, pwrite and lseek are ESPIPE. */
	stream_open(file_inode(file), file);
	/* The fd may outlive the device's own. */
	get_device(&t->vdev.device);
	s->file = get_file(file);
	t->session = s;
	return s;
}

int tdev_session_release(struct inode *inode, struct file *file)
{
	struct tdev_session *s = file->private_data;
	struct testdev *t = s->t;

	tdev_session_free(s);
	vfio_put_device(&t->vdev);
	return 0;
}

void tdev_session_end(struct testdev *t)
{
	struct tdev_session *s = t->session;

	lockdep_assert_held(&t->lock);
	if (!s)
		return;
	s->dead = true;
	t->session = NULL;
	fput(s->file);
}

// SPDX-License-Identifier: GPL-2.0
/* The files of a device in debugfs: knobs, faults, and what is known of it. */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "testdev.h"

static int tdev_secret_get(void *data, u64 *value)
{
	struct testdev *t = data;

	mutex_lock(&t->lock);
	*value = t->content.secret;
	mutex_unlock(&t->lock);
	return 0;
}

/* Not while it is saved or loaded: half of the data would have the old one. */
static int tdev_secret_set(void *data, u64 value)
{
	struct testdev *t = data;
	int ret = -EBUSY;

	mutex_lock(&t->lock);
	if (!t->session) {
		t->content.secret = value;
		ret = 0;
	}
	mutex_unlock(&t->lock);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(tdev_secret_fops, tdev_secret_get, tdev_secret_set, "%llu\n");

static int tdev_size_get(void *data, u64 *value)
{
	*value = ((struct testdev *)data)->content.size;
	return 0;
}

static int tdev_size_set(void *data, u64 value)
{
	return tdev_resize(data, value);
}
DEFINE_DEBUGFS_ATTRIBUTE(tdev_size_fops, tdev_size_get, tdev_size_set, "%llu\n");

static int tdev_capabilities_get(void *data, u64 *value)
{
	*value = ((struct testdev *)data)->vdev.migration_flags;
	return 0;
}

/* Who has the device open has read them and relies on them. */
static int tdev_capabilities_set(void *data, u64 value)
{
	struct testdev *t = data;
	int ret = 0;

	if (value > 7 || (value && !(value & VFIO_MIGRATION_STOP_COPY)))
		return -EINVAL;
	mutex_lock(&t->lock);
	if (t->open) {
		ret = -EBUSY;
	} else {
		t->vdev.migration_flags = value;
		t->vdev.mig_ops = value ? &tdev_migration_ops : NULL;
	}
	mutex_unlock(&t->lock);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(tdev_capabilities_fops, tdev_capabilities_get, tdev_capabilities_set,
			 "%llu\n");

static int tdev_dma_log_get(void *data, u64 *value)
{
	*value = !!((struct testdev *)data)->vdev.log_ops;
	return 0;
}

static int tdev_dma_log_set(void *data, u64 value)
{
	struct testdev *t = data;
	int ret = 0;

	mutex_lock(&t->lock);
	if (t->open)
		ret = -EBUSY;
	else
		t->vdev.log_ops = value ? &tdev_log_ops : NULL;
	mutex_unlock(&t->lock);
	return ret;
}
DEFINE_DEBUGFS_ATTRIBUTE(tdev_dma_log_fops, tdev_dma_log_get, tdev_dma_log_set, "%llu\n");

/* Pages that DMA wrote, as ranges: iova and length, in hexadecimal. */
static int tdev_truth_show(struct seq_file *m, void *unused)
{
	struct testdev *t = m->private;
	unsigned long page, first = 0, count = 0;
	void *entry;

	mutex_lock(&t->lock);
	xa_for_each(&t->truth, page, entry) {
		if (count && page == first + count) {
			count++;
			continue;
		}
		if (count)
			seq_printf(m, "0x%lx 0x%lx\n", first << TDEV_PAGE_SHIFT,
				   count << TDEV_PAGE_SHIFT);
		first = page;
		count = 1;
	}
	if (count)
		seq_printf(m, "0x%lx 0x%lx\n", first << TDEV_PAGE_SHIFT, count << TDEV_PAGE_SHIFT);
	mutex_unlock(&t->lock);
	return 0;
}

static ssize_t tdev_truth_write(struct file *file, const char __user *buf, size_t count,
				loff_t *pos)
{
	struct testdev *t = ((struct seq_file *)file->private_data)->private;

	mutex_lock(&t->lock);
	tdev_truth_clear(t);
	mutex_unlock(&t->lock);
	return count;
}

static int tdev_trace_file_show(struct seq_file *m, void *unused)
{
	tdev_trace_show(m->private, m);
	return 0;
}

static int tdev_counts_file_show(struct seq_file *m, void *unused)
{
	tdev_counts_show(m->private, m);
	return 0;
}

static ssize_t tdev_counts_write(struct file *file, const char __user *buf, size_t count,
				 loff_t *pos)
{
	tdev_counts_clear(((struct seq_file *)file->private_data)->private);
	return count;
}

static int tdev_state_show(struct seq_file *m, void *unused)
{
	seq_printf(m, "%s\n", tdev_state_names[((struct testdev *)m->private)->state]);
	return 0;
}

static int tdev_faults_show(struct seq_file *m, void *unused)
{
	tdev_fault_show(m->private, m);
	return 0;
}

/* One fault, or "clear" or "release". */
static ssize_t tdev_faults_write(struct file *file, const char __user *buf, size_t count,
				 loff_t *pos)
{
	struct testdev *t = ((struct seq_file *)file->private_data)->private;
	char text[128];
	int ret = 0;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, count))
		return -EFAULT;
	text[count] = '\0';
	if (sysfs_streq(text, "clear"))
		tdev_fault_clear(t);
	else if (sysfs_streq(text, "release"))
		tdev_fault_release(t);
	else
		ret = tdev_fault_parse(t, text);
	return ret ? ret : count;
}

static int tdev_truth_open(struct inode *inode, struct file *file)
{
	return single_open(file, tdev_truth_show, inode->i_private);
}

static int tdev_trace_open(struct inode *inode, struct file *file)
{
	return single_open(file, tdev_trace_file_show, inode->i_private);
}

static int tdev_counts_open(struct inode *inode, struct file *file)
{
	return single_open(file, tdev_counts_file_show, inode->i_private);
}

static int tdev_faults_open(struct inode *inode, struct file *file)
{
	return single_open(file, tdev_faults_show, inode->i_private);
}

static int tdev_state_open(struct inode *inode, struct file *file)
{
	return single_open(file, tdev_state_show, inode->i_private);
}

#define TDEV_FILE(name, writer)					\
	static const struct file_operations name##_fops = {	\
		.owner = THIS_MODULE,				\
		.open = name##_open,				\
		.read = seq_read,				\
		.write = writer,				\
		.llseek = seq_lseek,				\
		.release = single_release,			\
	}

TDEV_FILE(tdev_truth, tdev_truth_write);
TDEV_FILE(tdev_trace, tdev_counts_write);
TDEV_FILE(tdev_counts, tdev_counts_write);
TDEV_FILE(tdev_faults, tdev_faults_write);
TDEV_FILE(tdev_state, NULL);

void tdev_debugfs_init(struct testdev *t, struct dentry *root)
{
	struct dentry *d = debugfs_create_dir(dev_name(t->dev), root);

	t->debugfs = d;
	debugfs_create_file("secret", 0600, d, t, &tdev_secret_fops);
	debugfs_create_file("size", 0600, d, t, &tdev_size_fops);
	debugfs_create_file("capabilities", 0600, d, t, &tdev_capabilities_fops);
	debugfs_create_file("dma_log", 0600, d, t, &tdev_dma_log_fops);
	debugfs_create_bool("wipe", 0600, d, &t->wipe);
	debugfs_create_bool("keep_state", 0600, d, &t->keep_state);
	debugfs_create_bool("enomsg", 0600, d, &t->enomsg);
	debugfs_create_bool("accept_corrupt", 0600, d, &t->accept_corrupt);
	debugfs_create_u32("data_size_mode", 0600, d, &t->data_size_mode);
	debugfs_create_u64("initial_size", 0600, d, &t->initial_size);
	debugfs_create_u64("dirty_per_query", 0600, d, &t->dirty_per_query);
	debugfs_create_u64("dirty_queries", 0600, d, &t->dirty_queries);
	debugfs_create_u64("reinit_at", 0600, d, &t->reinit_at);
	debugfs_create_u64("log_page_size", 0600, d, &t->log_page_size);
	debugfs_create_u64("truth_pages", 0400, d, &t->truth_pages);
	debugfs_create_file("truth", 0600, d, t, &tdev_truth_fops);
	debugfs_create_file("trace", 0600, d, t, &tdev_trace_fops);
	debugfs_create_file("counts", 0600, d, t, &tdev_counts_fops);
	debugfs_create_file("faults", 0600, d, t, &tdev_faults_fops);
	debugfs_create_file("state", 0400, d, t, &tdev_state_fops);
}

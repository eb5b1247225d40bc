// SPDX-License-Identifier: GPL-2.0
/* The migration states: which arc does what. */
#include <linux/file.h>

#include "testdev.h"

/* The P2P states allow no DMA to peers: we do none at all in them. */
bool tdev_runs(const struct testdev *t)
{
	return t->state == VFIO_DEVICE_STATE_RUNNING || t->state == VFIO_DEVICE_STATE_PRE_COPY;
}

static bool tdev_pre_copies(enum vfio_device_mig_state state)
{
	return state == VFIO_DEVICE_STATE_PRE_COPY || state == VFIO_DEVICE_STATE_PRE_COPY_P2P;
}

static bool tdev_saves(enum vfio_device_mig_state state)
{
	return tdev_pre_copies(state) || state == VFIO_DEVICE_STATE_STOP_COPY;
}

/* One arc, as the core's table gives it. A file if it opens a session. */
static struct file *tdev_step(struct testdev *t, enum vfio_device_mig_state next)
{
	enum vfio_device_mig_state from = t->state;
	int ret;

	if (from == VFIO_DEVICE_STATE_RESUMING) {
		ret = tdev_resume_done(t);
		if (ret)
			return ERR_PTR(ret);
		tdev_session_end(t);
	} else if (tdev_saves(from)) {
		if (!tdev_saves(next))
			tdev_session_end(t);
		else if (next == VFIO_DEVICE_STATE_STOP_COPY)
			tdev_save_stopped(t);
	} else if (tdev_saves(next)) {
		return tdev_save(t);
	} else if (next == VFIO_DEVICE_STATE_RESUMING) {
		return tdev_resume(t);
	}
	return NULL;
}

/* The arc with what the faults make of it. The state moves here. */
static struct file *tdev_arc(struct testdev *t, enum vfio_device_mig_state next)
{
	enum vfio_device_mig_state from = t->state;
	struct file *file = NULL;
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault_arc(t, from, next, &effect);
	if (!ret && effect.action == TDEV_ERROR) {
		tdev_session_end(t);
		t->state = VFIO_DEVICE_STATE_ERROR;
		ret = -(int)effect.argument;
	} else if (!ret) {
		file = tdev_step(t, next);
		ret = PTR_ERR_OR_ZERO(file);
		if (!ret)
			t->state = next;
		if (!ret && effect.action == TDEV_LATE) {
			/* Moved, but the caller is told otherwise and gets no fd. */
			if (file)
				fput(file);
			ret = -(int)effect.argument;
		}
	}
	tdev_trace(t, TDEV_CALL_ARC, from, next, ret);
	if (t->state == next)
		atomic64_inc(&t->arcs[from][next]);
	wake_up(&t->work);
	return ret ? ERR_PTR(ret) : file;
}

static struct file *tdev_set_state(struct vfio_device *vdev, enum vfio_device_mig_state new_state)
{
	struct testdev *t = tdev_of(vdev);
	enum vfio_device_mig_state from, next;
	struct file *file = NULL;
	struct tdev_fault effect;
	int ret;

	mutex_lock(&t->lock);
	from = t->state;
	ret = tdev_fault(t, TDEV_CALL_SET_STATE, &effect);
	if (!ret && effect.action == TDEV_ERROR) {
		tdev_session_end(t);
		t->state = VFIO_DEVICE_STATE_ERROR;
		ret = -(int)effect.argument;
	}
	while (!ret && t->state != new_state) {
		/* Nothing but a reset leads out of error, and the core warns when asked. */
		if (t->state == VFIO_DEVICE_STATE_ERROR)
			ret = -EINVAL;
		else
			ret = vfio_mig_get_next_state(vdev, t->state, new_state, &next);
		if (ret)
			break;
		file = tdev_arc(t, next);
		ret = PTR_ERR_OR_ZERO(file);
	}
	if (!ret && effect.action == TDEV_LATE) {
		if (file)
			fput(file);
		ret = -(int)effect.argument;
	}
	tdev_trace(t, TDEV_CALL_SET_STATE, from, new_state < TDEV_STATES ? new_state : -1, ret);
	mutex_unlock(&t->lock);
	return ret ? ERR_PTR(ret) : file;
}

static int tdev_get_state(struct vfio_device *vdev, enum vfio_device_mig_state *state)
{
	struct testdev *t = tdev_of(vdev);
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_GET_STATE, &effect);
	if (ret)
		return ret;
	mutex_lock(&t->lock);
	*state = t->state;
	mutex_unlock(&t->lock);
	if (effect.action == TDEV_VALUE)
		*state = effect.argument;
	return 0;
}

static int tdev_get_data_size(struct vfio_device *vdev, unsigned long *length)
{
	struct testdev *t = tdev_of(vdev);
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_DATA_SIZE, &effect);
	if (ret)
		return ret;
	if (effect.action == TDEV_VALUE) {
		*length = effect.argument;
		return 0;
	}
	switch (t->data_size_mode) {
	case 1:
		return -ENOTTY;
	case 2:
		/* What xe answers when it cannot tell: an error as a length. */
		*length = -EIO;
		return 0;
	default:
		mutex_lock(&t->lock);
		*length = tdev_size_left(t);
		mutex_unlock(&t->lock);
		return 0;
	}
}

const struct vfio_migration_ops tdev_migration_ops = {
	.migration_set_state = tdev_set_state,
	.migration_get_state = tdev_get_state,
	.migration_get_data_size = tdev_get_data_size,
};

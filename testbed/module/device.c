// SPDX-License-Identifier: GPL-2.0
/* The VFIO device: opening, closing, reset, and what it says about itself. */
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "testdev.h"

/* What a reset does to a device: nothing of what it held is left. */
void tdev_wipe(struct testdev *t)
{
	lockdep_assert_held(&t->lock);
	t->content.secret = 0;
	memset(&t->content.registers, 0, sizeof(t->content.registers));
	memset(t->content.generations, 0, tdev_blocks(t) * sizeof(u32));
}

static int tdev_init(struct vfio_device *vdev)
{
	struct testdev *t = tdev_of(vdev);

	mutex_init(&t->lock);
	spin_lock_init(&t->fault_lock);
	spin_lock_init(&t->trace_lock);
	init_waitqueue_head(&t->released);
	t->state = VFIO_DEVICE_STATE_RUNNING;
	t->enomsg = true;
	t->initial_size = TDEV_BLOCK;
	tdev_dma_init(t);
	return 0;
}

static void tdev_release(struct vfio_device *vdev)
{
	struct testdev *t = tdev_of(vdev);

	tdev_dma_free(t);
	vfree(t->content.generations);
}

static int tdev_open(struct vfio_device *vdev)
{
	struct testdev *t = tdev_of(vdev);
	struct tdev_fault effect;
	int ret;

	ret = tdev_fault(t, TDEV_CALL_OPEN, &effect);
	if (ret)
		goto out;
	ret = tdev_dma_start(t);
	if (ret)
		goto out;
	mutex_lock(&t->lock);
	if (t->wipe) {
		tdev_wipe(t);
		t->wipes++;
	}
	if (!t->keep_state)
		t->state = VFIO_DEVICE_STATE_RUNNING;
	t->open = true;
	mutex_unlock(&t->lock);
out:
	tdev_trace(t, TDEV_CALL_OPEN, -1, t->state, ret);
	return ret;
}

static void tdev_close(struct vfio_device *vdev)
{
	struct testdev *t = tdev_of(vdev);

	/* The worker takes the lock, and may not write once we have returned. */
	tdev_dma_stop(t);
	mutex_lock(&t->lock);
	tdev_session_end(t);
	tdev_log_off(t);
	tdev_disarm(t);
	/* Half of somebody's data is no data. */
	if (t->wipe || t->state == VFIO_DEVICE_STATE_RESUMING)
		tdev_wipe(t);
	if (t->wipe)
		t->wipes++;
	if (!t->keep_state)
		t->state = VFIO_DEVICE_STATE_RUNNING;
	t->open = false;
	mutex_unlock(&t->lock);
}

static int tdev_reset(struct testdev *t)
{
	struct tdev_fault effect;
	int from, ret;

	ret = tdev_fault(t, TDEV_CALL_RESET, &effect);
	mutex_lock(&t->lock);
	from = t->state;
	if (!ret) {
		/* Logging and interrupts are the user's, and stay. */
		tdev_session_end(t);
		tdev_wipe(t);
		t->state = VFIO_DEVICE_STATE_RUNNING;
		if (effect.action == TDEV_LATE)
			ret = -(int)effect.argument;
	}
	tdev_trace(t, TDEV_CALL_RESET, from, t->state, ret);
	mutex_unlock(&t->lock);
	return ret;
}

static int tdev_get_info(unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.flags = VFIO_DEVICE_FLAGS_PLATFORM | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = 1;
	info.num_irqs = 1;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

static int tdev_region_info(struct vfio_region_info *info)
{
	if (info->index)
		return -EINVAL;
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info->size = PAGE_SIZE;
	info->offset = 0;
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
/* The core copies in and out, and answers EINVAL to GET_REGION_INFO without this. */
static int tdev_region_info_caps(struct vfio_device *vdev, struct vfio_region_info *info,
				 struct vfio_info_cap *caps)
{
	return tdev_region_info(info);
}
#endif

static int tdev_get_region_info(unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	int ret;

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	info.cap_offset = 0;
	ret = tdev_region_info(&info);
	if (ret)
		return ret;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

static int tdev_get_irq_info(unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;

	if (copy_from_user(&info, (void __user *)arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz || info.index)
		return -EINVAL;
	info.flags = VFIO_IRQ_INFO_EVENTFD;
	info.count = 1;
	return copy_to_user((void __user *)arg, &info, minsz) ? -EFAULT : 0;
}

static long tdev_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	struct testdev *t = tdev_of(vdev);

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return tdev_get_info(arg);
	case VFIO_DEVICE_GET_REGION_INFO:
		return tdev_get_region_info(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return tdev_get_irq_info(arg);
	case VFIO_DEVICE_SET_IRQS:
		return tdev_set_irqs(t, arg);
	case VFIO_DEVICE_RESET:
		return tdev_reset(t);
	default:
		return -ENOTTY;
	}
}

/* We pin nothing. Type1 asks devices that have this what is to be let go at an unmap. */
static void tdev_dma_unmap(struct vfio_device *vdev, u64 iova, u64 length)
{
}

const struct vfio_device_ops tdev_ops = {
	.name = TDEV_NAME,
	.init = tdev_init,
	.release = tdev_release,
	.bind_iommufd = vfio_iommufd_emulated_bind,
	.unbind_iommufd = vfio_iommufd_emulated_unbind,
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
	.open_device = tdev_open,
	.close_device = tdev_close,
	.read = tdev_region_read,
	.write = tdev_region_write,
	.ioctl = tdev_ioctl,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
	.get_region_info_caps = tdev_region_info_caps,
#endif
	.dma_unmap = tdev_dma_unmap,
};

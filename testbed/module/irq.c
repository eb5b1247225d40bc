// SPDX-License-Identifier: GPL-2.0
/* The one interrupt: an eventfd that stays armed over every change of state. */
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "testdev.h"

void tdev_disarm(struct testdev *t)
{
	lockdep_assert_held(&t->lock);
	if (t->trigger)
		eventfd_ctx_put(t->trigger);
	t->trigger = NULL;
}

void tdev_interrupt(struct testdev *t)
{
	lockdep_assert_held(&t->lock);
	t->content.registers.interrupts++;
	if (t->trigger)
		eventfd_signal(t->trigger);
}

static int tdev_arm(struct testdev *t, int fd)
{
	struct eventfd_ctx *trigger = NULL;

	if (fd >= 0) {
		trigger = eventfd_ctx_fdget(fd);
		if (IS_ERR(trigger))
			return PTR_ERR(trigger);
	}
	mutex_lock(&t->lock);
	tdev_disarm(t);
	t->trigger = trigger;
	mutex_unlock(&t->lock);
	return 0;
}

int tdev_set_irqs(struct testdev *t, unsigned long arg)
{
	unsigned long minsz = offsetofend(struct vfio_irq_set, count);
	struct tdev_fault effect;
	struct vfio_irq_set set;
	size_t data_size;
	u8 fire = 1;
	s32 fd;
	int ret;

	if (copy_from_user(&set, (void __user *)arg, minsz))
		return -EFAULT;
	ret = vfio_set_irqs_validate_and_prepare(&set, 1, 1, &data_size);
	if (ret)
		return ret;
	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) != VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;
	ret = tdev_fault(t, TDEV_CALL_SET_IRQS, &effect);
	if (ret)
		return ret;
	/* No interrupts at all is how a user disarms. */
	if (!set.count)
		return tdev_arm(t, -1);
	if (set.flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (copy_from_user(&fd, (void __user *)(arg + minsz), sizeof(fd)))
			return -EFAULT;
		return tdev_arm(t, fd);
	}
	if (set.flags & VFIO_IRQ_SET_DATA_BOOL &&
	    copy_from_user(&fire, (void __user *)(arg + minsz), sizeof(fire)))
		return -EFAULT;
	if (fire) {
		mutex_lock(&t->lock);
		tdev_interrupt(t);
		mutex_unlock(&t->lock);
	}
	return 0;
}

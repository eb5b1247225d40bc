// SPDX-License-Identifier: GPL-2.0
/* Region 0: 64-bit registers that a guest reads and writes. */
#include <linux/uaccess.h>

#include "testdev.h"

#define TDEV_MAGIC 0x7665644474736554ULL

enum {
	TDEV_REG_MAGIC = 0x00,
	TDEV_REG_COUNTER = 0x08,
	TDEV_REG_DMA_IOVA = 0x10,
	TDEV_REG_DMA_LENGTH = 0x18,
	TDEV_REG_DMA_PERIOD = 0x20,
	TDEV_REG_CONTROL = 0x28,
	TDEV_REG_SEED = 0x30,
	TDEV_REG_DOORBELL = 0x38,
	TDEV_REG_WRITTEN = 0x40,
	TDEV_REG_FAILED = 0x48,
	TDEV_REG_SCRATCH = 0x50,
	TDEV_REG_IRQ = 0x58,
};

/* More would hold the lock for seconds. */
#define TDEV_DOORBELL_MOST 1000000

/* Only a running device may be touched: sessions must not rely on more. */
static void tdev_touched(struct testdev *t)
{
	if (t->state != VFIO_DEVICE_STATE_RUNNING && t->state != VFIO_DEVICE_STATE_PRE_COPY)
		t->forbidden++;
}

static u64 tdev_register_read(struct testdev *t, loff_t offset)
{
	const struct tdev_registers *r = &t->content.registers;

	switch (offset) {
	case TDEV_REG_MAGIC:
		return TDEV_MAGIC;
	case TDEV_REG_COUNTER:
		return r->counter;
	case TDEV_REG_DMA_IOVA:
		return r->dma_iova;
	case TDEV_REG_DMA_LENGTH:
		return r->dma_length;
	case TDEV_REG_DMA_PERIOD:
		return r->dma_period;
	case TDEV_REG_CONTROL:
		return r->control;
	case TDEV_REG_SEED:
		return r->seed;
	case TDEV_REG_DOORBELL:
		return r->queued;
	case TDEV_REG_WRITTEN:
		return r->written;
	case TDEV_REG_FAILED:
		return r->failed;
	case TDEV_REG_SCRATCH:
		return r->scratch;
	case TDEV_REG_IRQ:
		return r->interrupts;
	default:
		return 0;
	}
}

static int tdev_register_write(struct testdev *t, loff_t offset, u64 value)
{
	struct tdev_registers *r = &t->content.registers;

	switch (offset) {
	case TDEV_REG_DMA_IOVA:
		r->dma_iova = value;
		break;
	case TDEV_REG_DMA_LENGTH:
		r->dma_length = value;
		break;
	case TDEV_REG_DMA_PERIOD:
		r->dma_period = value;
		break;
	case TDEV_REG_CONTROL:
		r->control = value & 1;
		wake_up(&t->work);
		break;
	case TDEV_REG_SEED:
		r->seed = value;
		break;
	case TDEV_REG_DOORBELL:
		if (value > TDEV_DOORBELL_MOST)
			return -EINVAL;
		/* What peers write to a quiescent device is done later, not lost. */
		if (tdev_runs(t)) {
			tdev_dma_burst(t, value);
			tdev_interrupt(t);
		} else {
			r->queued += value;
		}
		break;
	case TDEV_REG_SCRATCH:
		r->scratch = value;
		break;
	case TDEV_REG_IRQ:
		tdev_interrupt(t);
		break;
	default:
		return -EINVAL;
	}
	return 0;
}

static bool tdev_register_at(size_t count, loff_t pos)
{
	return count == sizeof(u64) && pos >= 0 && pos <= PAGE_SIZE - sizeof(u64) &&
	       IS_ALIGNED(pos, sizeof(u64));
}

ssize_t tdev_region_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *pos)
{
	struct testdev *t = tdev_of(vdev);
	u64 value;

	if (!tdev_register_at(count, *pos))
		return -EINVAL;
	mutex_lock(&t->lock);
	tdev_touched(t);
	value = tdev_register_read(t, *pos);
	mutex_unlock(&t->lock);
	if (copy_to_user(buf, &value, sizeof(value)))
		return -EFAULT;
	*pos += sizeof(value);
	return sizeof(value);
}

ssize_t tdev_region_write(struct vfio_device *vdev, const char __user *buf, size_t count,
			  loff_t *pos)
{
	struct testdev *t = tdev_of(vdev);
	u64 value;
	int ret;

	if (!tdev_register_at(count, *pos))
		return -EINVAL;
	if (copy_from_user(&value, buf, sizeof(value)))
		return -EFAULT;
	mutex_lock(&t->lock);
	tdev_touched(t);
	ret = tdev_register_write(t, *pos, value);
	mutex_unlock(&t->lock);
	if (ret)
		return ret;
	*pos += sizeof(value);
	return sizeof(value);
}

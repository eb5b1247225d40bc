// SPDX-License-Identifier: GPL-2.0
/*
 * What the device's memory holds: nothing is stored but a secret and how often
 * each block changed. A destination cannot know the secret unless it was loaded.
 */
#include <linux/vmalloc.h>

#include "testdev.h"

/* More blocks than this make no sense: 4 GiB. */
#define TDEV_SIZE_MOST (4ULL << 30)

/* splitmix64's finaliser. */
u64 tdev_mix(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

u32 tdev_blocks(const struct testdev *t)
{
	return DIV_ROUND_UP(t->content.size, TDEV_BLOCK);
}

/* The last block may be shorter. */
u32 tdev_block_length(const struct testdev *t, u32 block)
{
	u64 start = (u64)block * TDEV_BLOCK;

	return min_t(u64, t->content.size - start, TDEV_BLOCK);
}

/* Fills a whole block, of which a short one is the beginning. */
void tdev_fill_block(u64 secret, u32 block, u32 generation, u64 *out)
{
	u64 key = tdev_mix(secret ^ tdev_mix((u64)block << 32 | generation));
	unsigned int i;

	for (i = 0; i < TDEV_BLOCK / sizeof(u64); i++) {
		key += 0x9e3779b97f4a7c15ULL;
		out[i] = tdev_mix(key);
	}
}

/* A sum that changes when a block is older than it should be. */
u64 tdev_generations_sum(const struct testdev *t)
{
	u32 block, blocks = tdev_blocks(t);
	u64 sum = 0;

	for (block = 0; block < blocks; block++)
		sum += tdev_mix((u64)block << 32 | t->content.generations[block]);
	return sum;
}

/* Makes the device new, but for its secret. */
int tdev_resize(struct testdev *t, u64 size)
{
	u32 *generations;

	if (size > TDEV_SIZE_MOST)
		return -EFBIG;
	/* One more, so that an empty device has an array too. */
	generations = vzalloc((DIV_ROUND_UP(size, TDEV_BLOCK) + 1) * sizeof(u32));
	if (!generations)
		return -ENOMEM;
	mutex_lock(&t->lock);
	if (t->session) {
		mutex_unlock(&t->lock);
		vfree(generations);
		return -EBUSY;
	}
	swap(t->content.generations, generations);
	t->content.size = size;
	memset(&t->content.registers, 0, sizeof(t->content.registers));
	mutex_unlock(&t->lock);
	vfree(generations);
	return 0;
}

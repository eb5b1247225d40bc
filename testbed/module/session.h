/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A data fd and what goes through it.
 *
 * The data is a row of records in the byte order of the machine: one head, any
 * number of blocks of memory, in any order and repeated when they changed, one
 * tail. A device of size 0 has no records. A head may come again (REINIT): what
 * came before it is void.
 */
#ifndef TESTDEV_SESSION_H
#define TESTDEV_SESSION_H

#include "testdev.h"

#define TDEV_RECORD_MAGIC 0x54445652U
#define TDEV_RECORD_VERSION 1

enum tdev_record_kind {
	TDEV_HEAD = 1,
	TDEV_BLOCK_OF_MEMORY = 2,
	TDEV_TAIL = 3,
};

struct tdev_record {
	u32 magic;
	u32 kind;
	u32 block;
	u32 generation;
	u32 length;	/* of what follows this header */
	u32 check;	/* over this header and, but for blocks, what follows */
};

struct tdev_head {
	u64 version;
	u64 size;
	u64 secret;
};

struct tdev_tail {
	u64 generations_sum;
	struct tdev_registers registers;
};

struct tdev_session {
	struct testdev *t;
	struct file *file;
	bool dead;		/* the device left the states of this session */
	int error;		/* of the data fd, for good */
	u64 moved;		/* bytes */

	/* The record at hand: how much of it there is, how much was read. */
	size_t have, taken;
	union {
		struct tdev_record header;
		u8 bytes[sizeof(struct tdev_record) + TDEV_BLOCK];
		struct {
			struct tdev_record record;
			union {
				struct tdev_head head;
				struct tdev_tail tail;
				u64 words[TDEV_BLOCK / sizeof(u64)];
			};
		};
	};

	/* Blocks. Saving: those to send next. Resuming: those that came. */
	unsigned long *marked;
	u32 marked_count;

	/* Saving. */
	unsigned long *changed;	/* after they were sent, not yet announced */
	unsigned long *sent;
	u32 cursor;
	bool initial;		/* the initial data is not read yet */
	bool head_sent, tail_sent, ended, corrupt_next, reinited;
	u64 queries;
	u64 dirtied;		/* queries that changed something */

	/* Resuming. */
	bool has_head, complete, swallow;
	u64 secret;
	struct tdev_registers registers;
	u64 expected[TDEV_BLOCK / sizeof(u64)];
};

u32 tdev_record_check(const struct tdev_session *s);
struct tdev_session *tdev_session_new(struct testdev *t, const struct file_operations *fops,
				      int flags);
int tdev_session_release(struct inode *inode, struct file *file);

#endif

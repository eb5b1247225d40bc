// SPDX-License-Identifier: GPL-2.0
/*
 * Faults, set as "the N-th call of this kind from now does that". One line a
 * fault: KIND[:FROM>TO] N[+] ACTION [NUMBER].
 */
#include <linux/delay.h>
#include <linux/seq_file.h>

#include "testdev.h"

#define TDEV_CALL(name) (1U << TDEV_CALL_##name)
#define TDEV_STEPS (TDEV_CALL(SET_STATE) | TDEV_CALL(ARC))
#define TDEV_MOVES (TDEV_CALL(READ) | TDEV_CALL(WRITE))

/* An action that a kind of call knows nothing of would strike without a trace. */
static const struct {
	const char *name;
	unsigned int calls;
} tdev_actions[] = {
	[TDEV_NONE] = { "none", 0 },
	[TDEV_ERRNO] = { "errno", ~0U },
	[TDEV_LATE] = { "late", TDEV_STEPS | TDEV_CALL(RESET) },
	[TDEV_ERROR] = { "error", TDEV_STEPS | TDEV_MOVES | TDEV_CALL(PRECOPY_INFO) },
	[TDEV_SHORT] = { "short", TDEV_MOVES },
	[TDEV_END] = { "end", TDEV_CALL(READ) },
	[TDEV_CORRUPT] = { "corrupt", TDEV_CALL(READ) },
	[TDEV_SWALLOW] = { "swallow", TDEV_CALL(WRITE) },
	[TDEV_VALUE] = { "value", TDEV_CALL(GET_STATE) | TDEV_CALL(DATA_SIZE) |
				  TDEV_CALL(PRECOPY_INFO) },
	[TDEV_DELAY] = { "delay", ~0U },
	[TDEV_BLOCK_FOR] = { "block", ~0U },
};

static int tdev_action_of(const char *name, enum tdev_call call)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tdev_actions); i++)
		if (!strcmp(name, tdev_actions[i].name))
			return tdev_actions[i].calls & 1U << call ? i : -EINVAL;
	return -EINVAL;
}

/* Ends every delay that is under way. */
void tdev_fault_release(struct testdev *t)
{
	WRITE_ONCE(t->releases, t->releases + 1);
	wake_up_all(&t->released);
}

/* By the clock, not by ticks: a delay is never shorter than it was asked for. */
static int tdev_wait(struct testdev *t, const struct tdev_fault *effect)
{
	ktime_t time = ms_to_ktime(effect->argument);
	u32 releases = READ_ONCE(t->releases);

	if (effect->action == TDEV_DELAY) {
		wait_event_hrtimeout(t->released, READ_ONCE(t->releases) != releases, time);
		return 0;
	}
	if (wait_event_interruptible_hrtimeout(t->released, READ_ONCE(t->releases) != releases,
					       time) == -ERESTARTSYS)
		return -EINTR;
	return 0;
}

static bool tdev_fault_fits(const struct tdev_fault *fault, enum tdev_call call, int from, int to)
{
	return fault->left && fault->call == call && (fault->from < 0 || fault->from == from) &&
	       (fault->to < 0 || fault->to == to);
}

/* Every fault that fits counts; the first whose turn it is strikes. */
static void tdev_fault_find(struct testdev *t, enum tdev_call call, int from, int to,
			    struct tdev_fault *effect)
{
	struct tdev_fault *fault;

	memset(effect, 0, sizeof(*effect));
	atomic64_inc(&t->calls[call]);
	spin_lock(&t->fault_lock);
	for (fault = t->faults; fault < t->faults + TDEV_FAULTS; fault++) {
		if (!tdev_fault_fits(fault, call, from, to) || --fault->left)
			continue;
		fault->struck++;
		if (fault->again)
			fault->left = 1;
		if (effect->action == TDEV_NONE)
			*effect = *fault;
	}
	spin_unlock(&t->fault_lock);
}

static int tdev_fault_strike(struct testdev *t, const struct tdev_fault *effect)
{
	switch (effect->action) {
	case TDEV_ERRNO:
		return -(int)effect->argument;
	case TDEV_DELAY:
	case TDEV_BLOCK_FOR:
		return tdev_wait(t, effect);
	default:
		return 0;
	}
}

/*
 * Counts the call and says in *effect what is to go wrong with it. Plain errors
 * and delays are done here: returns 0 or the error.
 */
int tdev_fault(struct testdev *t, enum tdev_call call, struct tdev_fault *effect)
{
	tdev_fault_find(t, call, -1, -1, effect);
	return tdev_fault_strike(t, effect);
}

int tdev_fault_arc(struct testdev *t, int from, int to, struct tdev_fault *effect)
{
	tdev_fault_find(t, TDEV_CALL_ARC, from, to, effect);
	return tdev_fault_strike(t, effect);
}

static int tdev_fault_arc_parse(struct tdev_fault *fault, char *arc)
{
	char *to = strchr(arc, '>');

	if (fault->call != TDEV_CALL_ARC || !to)
		return -EINVAL;
	*to++ = '\0';
	fault->from = match_string(tdev_state_names, TDEV_STATES, arc);
	fault->to = match_string(tdev_state_names, TDEV_STATES, to);
	return fault->from < 0 || fault->to < 0 ? -EINVAL : 0;
}

/* Errors without a number are EIO; an errno must be one. */
static bool tdev_fault_number(struct tdev_fault *fault, bool given)
{
	switch (fault->action) {
	case TDEV_ERRNO:
	case TDEV_LATE:
	case TDEV_ERROR:
		if (!given)
			fault->argument = EIO;
		return fault->argument > 0 && fault->argument <= MAX_ERRNO;
	case TDEV_SHORT:
	case TDEV_DELAY:
	case TDEV_BLOCK_FOR:
		return given && fault->argument >= 0 && fault->argument <= INT_MAX;
	case TDEV_VALUE:
		return given;
	default:
		return !given;
	}
}

int tdev_fault_parse(struct testdev *t, char *text)
{
	struct tdev_fault fault = { .from = -1, .to = -1 };
	char kind[48], action[16], again = 0;
	char *arc;
	int at, fields, ret;

	fields = sscanf(text, "%47s %llu%n", kind, &fault.left, &at);
	if (fields != 2 || !fault.left)
		return -EINVAL;
	if (text[at] == '+') {
		again = 1;
		at++;
	}
	fields = sscanf(text + at, "%15s %lld", action, &fault.argument);
	if (fields < 1)
		return -EINVAL;
	arc = strchr(kind, ':');
	if (arc)
		*arc++ = '\0';
	ret = match_string(tdev_call_names, TDEV_CALLS, kind);
	if (ret < 0)
		return ret;
	fault.call = ret;
	ret = tdev_action_of(action, fault.call);
	if (ret < 0)
		return ret;
	fault.action = ret;
	fault.again = again;
	if (arc && tdev_fault_arc_parse(&fault, arc))
		return -EINVAL;
	if (!tdev_fault_number(&fault, fields == 2))
		return -EINVAL;

	ret = -ENOSPC;
	spin_lock(&t->fault_lock);
	for (at = 0; at < TDEV_FAULTS; at++)
		if (!t->faults[at].left) {
			t->faults[at] = fault;
			ret = 0;
			break;
		}
	spin_unlock(&t->fault_lock);
	return ret;
}

void tdev_fault_clear(struct testdev *t)
{
	spin_lock(&t->fault_lock);
	memset(t->faults, 0, sizeof(t->faults));
	spin_unlock(&t->fault_lock);
}

void tdev_fault_show(struct testdev *t, struct seq_file *m)
{
	struct tdev_fault f;
	unsigned int i;

	for (i = 0; i < TDEV_FAULTS; i++) {
		spin_lock(&t->fault_lock);
		f = t->faults[i];
		spin_unlock(&t->fault_lock);
		if (f.action == TDEV_NONE)
			continue;
		seq_puts(m, tdev_call_names[f.call]);
		if (f.from >= 0)
			seq_printf(m, ":%s>%s", tdev_state_names[f.from], tdev_state_names[f.to]);
		seq_printf(m, " %llu%s %s %lld struck %llu\n", f.left, f.again ? "+" : "",
			   tdev_actions[f.action].name, f.argument, f.struck);
	}
}

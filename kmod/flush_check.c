// SPDX-License-Identifier: GPL-2.0-only
/* The books of flush_check.h. */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/percpu.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "debugfs.h"
#include "flush_check.h"
#include "user.h"
#include "vcpu.h"

enum fault { FAULT_ENTRY, FAULT_TAG, FAULT_CUT, NR_FAULTS };

static const char *const fault_names[NR_FAULTS] = {
	[FAULT_ENTRY] = "entry",	/* with translations of before a cut */
	[FAULT_TAG] = "tag",		/* under a tag that others' may be left of */
	[FAULT_CUT] = "cut",		/* done with while a vCPU still used it */
};

static const char *const omission_names[SLAT_NR_OMISSIONS] = {
	[SLAT_OMIT_ENTRY] = "entry",
	[SLAT_OMIT_TAG] = "tag",
	[SLAT_OMIT_KICK] = "kick",
};

static atomic_long_t counts[NR_FAULTS];
static bool omissions[SLAT_NR_OMISSIONS];

/**
 * struct book - what a CPU may hold under one tag
 * @owner:	serial of the vCPU whose addresses they translate, 0: nobody's
 * @gen:	cut generation of the oldest that come from nested tables, 0: there are none
 */
struct book {
	u64 owner;
	u64 gen;
};

static DEFINE_PER_CPU(struct book *, books);
static u32 nr_tags;

static void omit_nothing(void)
{
	unsigned int i;

	for (i = 0; i < SLAT_NR_OMISSIONS; i++)
		WRITE_ONCE(omissions[i], false);
}

/* In words that scripts/check-splats.sh knows. */
static void report(enum fault fault, const struct slat_vcpu *vcpu, u64 has, u64 wants)
{
	omit_nothing();
	if (atomic_long_inc_return(&counts[fault]) == 1)
		pr_warn("slat: flush: %s: vCPU %u has flushed %llu, not %llu\n",
			fault_names[fault], vcpu->id, has, wants);
}

bool slat_flush_omit(enum slat_flush_omission what)
{
	return READ_ONCE(omissions[what]);
}

void slat_flush_note_all(void)
{
	memset(__this_cpu_read(books), 0, nr_tags * sizeof(struct book));
}

void slat_flush_note_linear(u32 tag)
{
	__this_cpu_read(books)[tag].owner = 0;
}

void slat_flush_note_nested(u32 tag)
{
	__this_cpu_read(books)[tag].gen = 0;
}

bool slat_flush_note(u32 tag, const struct slat_vcpu *vcpu, u64 gen)
{
	struct book *book = &__this_cpu_read(books)[tag];
	const bool stayed = book->owner == vcpu->serial && vcpu->guest_cpu == smp_processor_id();

	if (book->gen || (book->owner && !stayed)) {
		report(FAULT_TAG, vcpu, book->gen, gen);
		return false;
	}
	*book = (struct book) { .owner = vcpu->serial, .gen = gen };
	return true;
}

bool slat_flush_enter(struct slat_vcpu *vcpu, u32 tag, u64 gen)
{
	const struct book *book = &__this_cpu_read(books)[tag];

	if (book->owner != vcpu->serial || book->gen < gen) {
		report(FAULT_ENTRY, vcpu, book->owner == vcpu->serial ? book->gen : 0, gen);
		return false;
	}
	vcpu->guest_cpu = smp_processor_id();
	WRITE_ONCE(vcpu->guest_gen, book->gen);
	return true;
}

void slat_flush_leave(struct slat_vcpu *vcpu)
{
	WRITE_ONCE(vcpu->guest_gen, 0);
}

bool slat_flush_finished(struct slat_vm *vm, u64 gen)
{
	struct slat_vcpu *vcpu;
	bool finished = true;
	unsigned long id;

	xa_for_each(&vm->vcpus, id, vcpu) {
		const u64 guest_gen = READ_ONCE(vcpu->guest_gen);

		if (!guest_gen || guest_gen >= gen)
			continue;
		report(FAULT_CUT, vcpu, guest_gen, gen);
		finished = false;
	}
	return finished;
}

/* debugfs: flushes, a line "FAULT COUNT" for each */
static int flushes_show(struct seq_file *file, void *unused)
{
	unsigned int i;

	for (i = 0; i < NR_FAULTS; i++)
		seq_printf(file, "%s %ld\n", fault_names[i], atomic_long_read(&counts[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(flushes);

/* flush_test: write what alone to leave out until that is found; it is told anew then. */
static ssize_t omit(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	char word[16] = {};
	unsigned int fault;
	int i;

	if (len >= sizeof(word))
		return -EINVAL;
	if (slat_copy_from_user(word, user, len))
		return -EFAULT;
	i = match_string(omission_names, SLAT_NR_OMISSIONS, strim(word));
	if (i < 0)
		return -EINVAL;
	omit_nothing();
	for (fault = 0; fault < NR_FAULTS; fault++)
		atomic_long_set(&counts[fault], 0);
	WRITE_ONCE(omissions[i], true);
	return len;
}

static const struct file_operations omit_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = omit,
	.llseek = noop_llseek,
};

int slat_flush_check_init(u32 tags)
{
	int cpu;

	nr_tags = tags;
	for_each_possible_cpu(cpu) {
		per_cpu(books, cpu) = vcalloc(tags, sizeof(struct book));
		if (!per_cpu(books, cpu)) {
			slat_flush_check_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void slat_flush_check_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		vfree(per_cpu(books, cpu));
		per_cpu(books, cpu) = NULL;
	}
}

void slat_flush_debugfs(void)
{
	debugfs_create_file("flushes", 0400, slat_debugfs_dir, NULL, &flushes_fops);
	debugfs_create_file("flush_test", 0200, slat_debugfs_dir, NULL, &omit_fops);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs: a directory vm-PID-N for each VM, PID being the process that made it.
 *
 * tables: a line "FIRST-LAST SIZE RIGHTS TYPE STATE FRAME" for each leaf.  Leaves are
 * looked up one by one, so that readers keep nobody from changing them, and what they
 * see is no snapshot.
 *
 * guards: see slat_guards_show().
 *
 * counters: a line "NAME N" for each.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include <uapi/linux/slat.h>

#include "debugfs.h"
#include "guard_test.h"
#include "vm.h"

/*
 * @vm:		is there as long as a file may be read: slat_vm_debugfs_remove() waits
 * @leaf:	found last
 */
struct dump {
	struct slat_vm *vm;
	struct slat_leaf leaf;
};

static u64 behind(u64 gfn, unsigned int level)
{
	return (gfn | (slat_span(level) - 1)) + 1;
}

/* The first leaf at *@pos, a gfn, or behind it. */
static void *find(struct dump *dump, loff_t *pos)
{
	const u64 last = slat_mmu_last_gfn(&dump->vm->mmu);

	while (*pos <= last) {
		slat_view_read(&dump->vm->base, *pos, &dump->leaf);
		if (dump->leaf.level)
			return dump;
		*pos = behind(*pos, dump->leaf.entry_level);
		cond_resched();
	}
	return NULL;
}

static void *tables_start(struct seq_file *file, loff_t *pos)
{
	return find(file->private, pos);
}

static void *tables_next(struct seq_file *file, void *v, loff_t *pos)
{
	struct dump *dump = v;

	*pos = behind(*pos, dump->leaf.level);
	return find(dump, pos);
}

static void tables_stop(struct seq_file *file, void *v)
{
}

static int tables_show(struct seq_file *file, void *v)
{
	static const char *const sizes[] = { "4K", "2M", "1G" };
	static const char *const types[8] = { "UC", "WC", "?", "?", "WT", "WP", "WB", "UC-" };
	const struct dump *dump = v;
	const struct slat_leaf *leaf = &dump->leaf;
	const u64 offsets = slat_span(leaf->level) - 1, gfn = file->index & ~offsets;

	seq_printf(file, "%#llx-%#llx %s %c%c%c %s%s %c%c %#llx\n", gfn << PAGE_SHIFT,
		   ((gfn + offsets + 1) << PAGE_SHIFT) - 1, sizes[leaf->level - 1],
		   leaf->rights & SLAT_R ? 'r' : '-', leaf->rights & SLAT_W ? 'w' : '-',
		   leaf->rights & SLAT_X ? 'x' : '-', types[leaf->type & 7],
		   leaf->type & SLAT_MT_IPAT ? "+iPAT" : "", leaf->accessed ? 'A' : '-',
		   leaf->dirty ? 'D' : '-', leaf->pfn & ~offsets);
	return 0;
}

static const struct seq_operations tables_ops = {
	.start = tables_start,
	.next = tables_next,
	.stop = tables_stop,
	.show = tables_show,
};

static int tables_open(struct inode *inode, struct file *file)
{
	struct dump *dump = __seq_open_private(file, &tables_ops, sizeof(*dump));

	if (!dump)
		return -ENOMEM;
	dump->vm = inode->i_private;
	return 0;
}

static const struct file_operations tables_fops = {
	.owner = THIS_MODULE,
	.open = tables_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

static int counters_show(struct seq_file *file, void *unused)
{
	struct slat_vm *vm = file->private;
	struct slat_stats stats = {};

	slat_vm_stats(vm, &stats);
	seq_printf(file, "leaves_4k %ld\n", atomic_long_read(&vm->mmu.leaves[0]));
	seq_printf(file, "leaves_2m %ld\n", atomic_long_read(&vm->mmu.leaves[1]));
	seq_printf(file, "leaves_1g %ld\n", atomic_long_read(&vm->mmu.leaves[2]));
	seq_printf(file, "tables %llu\n", stats.tables);
	seq_printf(file, "faults %llu\n", stats.faults);
	seq_printf(file, "retries %llu\n", stats.retries);
	seq_printf(file, "flushes %llu\n", stats.flushes);
	seq_printf(file, "exits %llu\n", stats.exits);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(counters);

static int guards_show(struct seq_file *file, void *unused)
{
	slat_guards_show(file->private, file);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(guards);

void slat_vm_debugfs_create(struct slat_vm *vm)
{
	static atomic_t last = ATOMIC_INIT(-1);
	char name[32];

	snprintf(name, sizeof(name), "vm-%d-%u", task_tgid_nr(current), atomic_inc_return(&last));
	vm->debugfs = debugfs_create_dir(name, slat_debugfs_dir);
	debugfs_create_file("tables", 0400, vm->debugfs, vm, &tables_fops);
	debugfs_create_file("counters", 0400, vm->debugfs, vm, &counters_fops);
	debugfs_create_file("guards", 0400, vm->debugfs, vm, &guards_fops);
	slat_guard_test_debugfs(vm);
}

void slat_vm_debugfs_remove(struct slat_vm *vm)
{
	debugfs_remove(vm->debugfs);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Claims at the wish of a test, until private memory makes them: debugfs' guard_test of a
 * VM.  Written to it:
 *
 * "claim FIRST LAST": claim these gfns, up to "release" or the file's end
 * "unbalanced GFN": map it and unmap it twice, of which the second time is refused
 * "read GFN TIMES", "write GFN TIMES": map it and unmap it so many times, at most 10,000;
 * for the bench
 *
 * An open file keeps the VM.
 */
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "entry.h"
#include "guard.h"
#include "guard_test.h"
#include "user.h"
#include "vm.h"

/*
 * @busy: a command is under way
 * @claimed: @claim is one
 */
struct guard_test {
	struct slat_vm *vm;
	atomic_t busy;
	bool claimed;
	struct slat_claim claim;
};

static int claim(struct guard_test *test, u64 first, u64 last)
{
	int ret;

	if (test->claimed || first > last)
		return -EINVAL;
	test->claim.first = first;
	test->claim.last = last;
	ret = slat_claim_begin(test->vm, &test->claim);
	test->claimed = !ret;
	return ret;
}

static int release_claim(struct guard_test *test)
{
	if (!test->claimed)
		return -EINVAL;
	slat_claim_end(test->vm, &test->claim);
	test->claimed = false;
	return 0;
}

static int unbalanced(struct guard_test *test, u64 gfn)
{
	struct slat_guard guard;
	int ret;

	if (test->vm->mm != current->mm)
		return -EIO;
	ret = slat_gfn_map(test->vm, gfn, SLAT_R, "unbalanced", &guard);
	if (ret)
		return ret;
	slat_gfn_unmap(&guard, false);
	slat_gfn_unmap(&guard, false);
	return 0;
}

static int repeat(struct guard_test *test, unsigned int access, u64 gfn, unsigned int times)
{
	struct slat_guard guard;
	int ret = 0;

	if (test->vm->mm != current->mm)
		return -EIO;
	if (times > 10000)
		return -EINVAL;
	while (!ret && times--) {
		ret = slat_gfn_map(test->vm, gfn, access, "repeat", &guard);
		if (!ret)
			slat_gfn_unmap(&guard, access & SLAT_W);
	}
	return ret;
}

static int command(struct guard_test *test, const char *word)
{
	unsigned int times;
	u64 first, last;

	if (sscanf(word, "claim %llx %llx", &first, &last) == 2)
		return claim(test, first, last);
	if (!strcmp(word, "release"))
		return release_claim(test);
	if (sscanf(word, "unbalanced %llx", &first) == 1)
		return unbalanced(test, first);
	if (sscanf(word, "read %llx %u", &first, &times) == 2)
		return repeat(test, SLAT_R, first, times);
	if (sscanf(word, "write %llx %u", &first, &times) == 2)
		return repeat(test, SLAT_R | SLAT_W, first, times);
	return -EINVAL;
}

static ssize_t test_write(struct file *file, const char __user *user, size_t len, loff_t *pos)
{
	struct guard_test *test = file->private_data;
	char word[64] = "";
	int ret;

	if (len >= sizeof(word))
		return -EINVAL;
	if (slat_copy_from_user(word, user, len))
		return -EFAULT;
	if (atomic_cmpxchg(&test->busy, 0, 1))
		return -EBUSY;
	ret = command(test, word);
	atomic_set_release(&test->busy, 0);
	return ret ? ret : len;
}

static int test_open(struct inode *inode, struct file *file)
{
	struct slat_vm *vm = inode->i_private;
	struct guard_test *test = kzalloc(sizeof(*test), GFP_KERNEL);

	if (!test)
		return -ENOMEM;
	if (!slat_vm_tryget(vm)) {
		kfree(test);
		return -ENODEV;
	}
	test->vm = vm;
	file->private_data = test;
	return 0;
}

static int test_release(struct inode *inode, struct file *file)
{
	struct guard_test *test = file->private_data;

	if (test->claimed)
		release_claim(test);
	slat_vm_put(test->vm);
	kfree(test);
	return 0;
}

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.open = test_open,
	.write = test_write,
	.llseek = noop_llseek,
	.release = test_release,
};

void slat_guard_test_debugfs(struct slat_vm *vm)
{
	debugfs_create_file("guard_test", 0200, vm->debugfs, vm, &test_fops);
}

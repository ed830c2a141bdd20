// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls that KVM does not have; uapi/linux/slat.h describes them. */
#include <linux/capability.h>
#include <linux/mm.h>

#include <uapi/linux/slat.h>

#include "ioctl.h"
#include "user.h"
#include "vm.h"

/*
 * A structure that begins with its size: in as the caller knows it, zeroes behind.
 * @least: the size of its first version
 */
static int copy_in(void *to, size_t size, size_t least, const void __user *user)
{
	u32 user_size;

	if (slat_get_user(user_size, (const u32 __user *)user))
		return -EFAULT;
	if (user_size < least)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	return slat_copy_struct_from_user(to, size, user, user_size);
}

/* And out again, as much as the caller knows of it. */
static int copy_out(void __user *user, const void *from, size_t size, u32 user_size)
{
	return slat_copy_to_user(user, from, min_t(size_t, size, user_size)) ? -EFAULT : 0;
}

static long get_stats(struct slat_vm *vm, void __user *user)
{
	struct slat_stats stats;
	int ret = copy_in(&stats, sizeof(stats), SLAT_STATS_SIZE_VER0, user);

	if (ret)
		return ret;
	if (stats.flags)
		return -EINVAL;
	stats = (struct slat_stats) { .size = stats.size };
	slat_vm_stats(vm, &stats);
	return copy_out(user, &stats, sizeof(stats), stats.size);
}

static_assert(SLAT_ACCESS_R == SLAT_R && SLAT_ACCESS_W == SLAT_W && SLAT_ACCESS_X == SLAT_X);

static void fill_leaf_info(struct slat_leaf_info *info, const struct slat_leaf *leaf)
{
	info->level = leaf->level;
	info->access = leaf->rights;
	info->pfn = ~0ULL;
	if (leaf->level && capable(CAP_SYS_ADMIN))
		info->pfn = leaf->pfn;
	info->type = leaf->type & SLAT_MT_MASK;
	info->state = (leaf->type & SLAT_MT_IPAT ? SLAT_LEAF_IGNORE_PAT : 0) |
		      (leaf->suppress_ve ? SLAT_LEAF_SUPPRESS_VE : 0) |
		      (leaf->accessed ? SLAT_LEAF_ACCESSED : 0) |
		      (leaf->dirty ? SLAT_LEAF_DIRTY : 0);
}

static long get_leaf(struct slat_vm *vm, void __user *user)
{
	struct slat_leaf_info info;
	struct slat_leaf leaf;
	int ret = copy_in(&info, sizeof(info), SLAT_LEAF_INFO_SIZE_VER0, user);

	if (ret)
		return ret;
	if (info.flags || info.view || info.gpa >> PAGE_SHIFT > slat_mmu_last_gfn(&vm->mmu))
		return -EINVAL;
	slat_view_read(&vm->base, info.gpa >> PAGE_SHIFT, &leaf);
	info = (struct slat_leaf_info) { .size = info.size, .gpa = info.gpa };
	fill_leaf_info(&info, &leaf);
	return copy_out(user, &info, sizeof(info), info.size);
}

long slat_ioctl_slat(struct slat_vm *vm, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case SLAT_GET_STATS:
		return get_stats(vm, user);
	case SLAT_GET_LEAF:
		return get_leaf(vm, user);
	default:
		return -ENOTTY;
	}
}

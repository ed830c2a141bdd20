// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls that KVM does not have; uapi/linux/slat.h describes them. */
#include <linux/capability.h>
#include <linux/mm.h>

#include <uapi/linux/slat.h>

#include "ioctl.h"
#include "memory.h"
#include "runstate.h"
#include "user.h"
#include "vm.h"
#include "window.h"

/*
 * A structure that begins with its size: in as the caller knows it, zeroes behind.
 * @least: the size of its first version
 */
static int copy_in(void *to, size_t size, size_t least, const void __user *user)
{
	u32 user_size;
	int ret;

	if (slat_get_user(user_size, (const u32 __user *)user))
		return -EFAULT;
	if (user_size < least)
		return -EINVAL;
	if (user_size > PAGE_SIZE)
		return -E2BIG;
	ret = slat_copy_struct_from_user(to, size, user, user_size);
	/* It was read twice, and may have changed in between: what was checked counts. */
	*(u32 *)to = user_size;
	return ret;
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

static long set_attribute(struct slat_vm *vm, const void __user *user)
{
	struct slat_attribute attr;
	int ret = copy_in(&attr, sizeof(attr), SLAT_ATTRIBUTE_SIZE_VER0, user);

	if (ret)
		return ret;
	if (attr.flags || attr.reserved || attr.value > 1)
		return -EINVAL;
	switch (attr.attribute) {
	case SLAT_ATTR_NONCOHERENT_DMA:
	case SLAT_ATTR_CACHE_FLUSH:
		break;
	default:
		return -EINVAL;
	}
	/* Types that disagree with the host's for the same frame are for the trusted. */
	if (!capable(CAP_SYS_RAWIO))
		return -EPERM;
	slat_memtype_set(vm, attr.attribute, attr.value);
	return 0;
}

static bool pin_type_valid(u32 type)
{
	switch (type) {
	case SLAT_MT_UC:
	case SLAT_MT_WC:
	case SLAT_MT_WT:
	case SLAT_MT_WP:
	case SLAT_MT_WB:
	case SLAT_PIN_NONE:
		return true;
	default:
		return false;
	}
}

static_assert(SLAT_MEMTYPE_NONE == SLAT_PIN_NONE);

/* Within what the CPU can address and the tables can hold? */
static bool range_valid(u64 gpa, u64 length)
{
	return length <= slat_gpa_limit() && gpa <= slat_gpa_limit() - length;
}

/* Whole pages, at least one? */
static bool pages_valid(u64 gpa, u64 length)
{
	return length && PAGE_ALIGNED(gpa | length) && range_valid(gpa, length);
}

static long pin_memtype(struct slat_vm *vm, const void __user *user)
{
	struct slat_memtype_range range;
	int ret = copy_in(&range, sizeof(range), SLAT_MEMTYPE_RANGE_SIZE_VER0, user);

	if (ret)
		return ret;
	if (range.flags || range.reserved || !pin_type_valid(range.type) ||
	    !pages_valid(range.gpa, range.length))
		return -EINVAL;
	return slat_memtype_pin(vm, range.gpa >> PAGE_SHIFT,
				(range.gpa + range.length - 1) >> PAGE_SHIFT, range.type);
}

static long copy_memory(struct slat_vm *vm, void __user *user, bool write)
{
	struct slat_memory memory;
	int ret = copy_in(&memory, sizeof(memory), SLAT_MEMORY_SIZE_VER0, user);

	if (ret)
		return ret;
	if (memory.flags || memory.view || memory.reserved ||
	    !range_valid(memory.gpa, memory.length))
		return -EINVAL;
	ret = slat_memory_copy(vm, &memory, write);
	return copy_out(user, &memory, sizeof(memory), memory.size) ?: ret;
}

static long create_window(struct slat_vm *vm, const void __user *user)
{
	struct slat_window window;
	int ret = copy_in(&window, sizeof(window), SLAT_WINDOW_SIZE_VER0, user);

	if (ret)
		return ret;
	if ((window.flags & ~SLAT_WINDOW_WRITE) || window.view || window.reserved ||
	    !pages_valid(window.gpa, window.length) ||
	    window.length >> PAGE_SHIFT > SLAT_WINDOW_PAGES_MAX)
		return -EINVAL;
	return slat_window_create(vm, window.gpa >> PAGE_SHIFT, window.length >> PAGE_SHIFT,
				  window.flags & SLAT_WINDOW_WRITE);
}

static long set_runstate(struct slat_vm *vm, const void __user *user)
{
	struct slat_set_runstate set;
	int ret = copy_in(&set, sizeof(set), SLAT_SET_RUNSTATE_SIZE_VER0, user);

	if (ret)
		return ret;
	if (set.flags || set.reserved)
		return -EINVAL;
	return slat_runstate_set(vm, set.vcpu, set.gpa);
}

static long get_runstate(struct slat_vm *vm, void __user *user)
{
	struct slat_get_runstate get;
	int ret = copy_in(&get, sizeof(get), SLAT_GET_RUNSTATE_SIZE_VER0, user);

	if (ret)
		return ret;
	if (get.flags)
		return -EINVAL;
	ret = slat_runstate_get(vm, &get);
	return ret ?: copy_out(user, &get, sizeof(get), get.size);
}

long slat_ioctl_slat(struct slat_vm *vm, unsigned int cmd, unsigned long arg)
{
	void __user *user = (void __user *)arg;

	switch (cmd) {
	case SLAT_GET_STATS:
		return get_stats(vm, user);
	case SLAT_GET_LEAF:
		return get_leaf(vm, user);
	case SLAT_SET_ATTRIBUTE:
		return set_attribute(vm, user);
	case SLAT_PIN_MEMTYPE:
		return pin_memtype(vm, user);
	case SLAT_READ_MEMORY:
		return copy_memory(vm, user, false);
	case SLAT_WRITE_MEMORY:
		return copy_memory(vm, user, true);
	case SLAT_CREATE_WINDOW:
		return create_window(vm, user);
	case SLAT_SET_RUNSTATE:
		return set_runstate(vm, user);
	case SLAT_GET_RUNSTATE:
		return get_runstate(vm, user);
	default:
		return -ENOTTY;
	}
}

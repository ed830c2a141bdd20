// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory that is copied for the VMM. */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include <uapi/linux/slat.h>

#include "entry.h"
#include "memory.h"
#include "user.h"
#include "vm.h"

static int copy_in_page(struct slat_vm *vm, struct slat_memory *memory, bool write)
{
	const unsigned long offset = offset_in_page(memory->gpa);
	const unsigned long len = min_t(u64, memory->length, PAGE_SIZE - offset);
	void __user *data = u64_to_user_ptr(memory->data);
	struct slat_guard guard;
	unsigned long left;
	int ret;

	ret = slat_gfn_map(vm, memory->gpa >> PAGE_SHIFT, write ? SLAT_R | SLAT_W : SLAT_R,
			   "copy", &guard);
	if (ret)
		return ret;
	if (write)
		left = slat_copy_from_user_part(guard.host + offset, data, len);
	else
		left = slat_copy_to_user(data, guard.host + offset, len);
	slat_gfn_unmap(&guard, write && left < len);

	memory->gpa += len - left;
	memory->data += len - left;
	memory->length -= len - left;
	return left ? -EFAULT : 0;
}

int slat_memory_copy(struct slat_vm *vm, struct slat_memory *memory, bool write)
{
	int ret = 0;

	while (!ret && memory->length) {
		ret = signal_pending(current) ? -EINTR : copy_in_page(vm, memory, write);
		cond_resched();
	}
	return ret;
}

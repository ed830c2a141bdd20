// SPDX-License-Identifier: GPL-2.0-only
/* Dirty logs, and guests that write what is to be found there. */
#include "dirty.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int vm_try_get_dirty(struct vm *vm, uint32_t slot, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot, .dirty_bitmap = bitmap };

	return try_ioctl_ptr(vm->fd, KVM_GET_DIRTY_LOG, &log);
}

int vm_try_clear_dirty(struct vm *vm, uint32_t slot, uint64_t first, uint32_t pages,
		       const void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = slot, .num_pages = pages, .first_page = first,
		.dirty_bitmap = (void *)bitmap,
	};

	return try_ioctl_ptr(vm->fd, KVM_CLEAR_DIRTY_LOG, &log);
}

int vm_try_dirty_manual(struct vm *vm, uint64_t flags)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { flags },
	};

	return try_ioctl_ptr(vm->fd, KVM_ENABLE_CAP, &cap);
}

uint64_t dirty_count(const uint64_t *bitmap, uint64_t pages)
{
	uint64_t i, count = 0;

	for (i = 0; i < DIRTY_WORDS(pages); i++)
		count += __builtin_popcountll(bitmap[i]);
	return count;
}

bool vm_dirty_is(struct vm *vm, uint32_t slot, uint64_t pages, ...)
{
	uint64_t got[DIRTY_PAGES_MAX / 64] = { }, want[DIRTY_PAGES_MAX / 64] = { };
	const unsigned int words = DIRTY_WORDS(pages);
	unsigned int i;
	va_list list;
	int page, ret;

	REQUIRE(words <= DIRTY_PAGES_MAX / 64, "too many pages");
	va_start(list, pages);
	while ((page = va_arg(list, int)) >= 0)
		dirty_set(want, page);
	va_end(list);
	ret = vm_try_get_dirty(vm, slot, got);
	REQUIRE(!ret, "no dirty log: %s", strerror(-ret));
	for (i = 0; i < words; i++)
		if (got[i] != want[i])
			fprintf(stderr, "# pages from %u on: %#lx, not %#lx\n", i * 64, got[i],
				want[i]);
	return !memcmp(got, want, sizeof(got));
}

void play_write(struct play *play, unsigned int page)
{
	static uint64_t value;

	watch_write(&play->worker, VM_PLAY_GPA + page * PAGE_SIZE + page % 500 * 8, ++value);
}

void play_flags(struct play *play, uint32_t flags)
{
	vm_slot(play->vm, VM_PLAY_SLOT, flags, VM_PLAY_GPA, play->size, play->mem);
}

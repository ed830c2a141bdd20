/* SPDX-License-Identifier: GPL-2.0-only */
/* Dirty logs, and guests that write what is to be found there. */
#ifndef SLAT_TEST_DIRTY_H
#define SLAT_TEST_DIRTY_H

#include "worker.h"

/* 0 or -errno. */
int vm_try_get_dirty(struct vm *vm, uint32_t slot, void *bitmap);
int vm_try_clear_dirty(struct vm *vm, uint32_t slot, uint64_t first, uint32_t pages,
		       const void *bitmap);
/* KVM_ENABLE_CAP of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2. */
int vm_try_dirty_manual(struct vm *vm, uint64_t flags);

/* Words of 64 bits that a log has. */
#define DIRTY_WORDS(pages)	(((pages) + 63) / 64)

static inline bool dirty_test(const uint64_t *bitmap, uint64_t page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

static inline void dirty_set(uint64_t *bitmap, uint64_t page)
{
	bitmap[page / 64] |= 1ull << page % 64;
}

uint64_t dirty_count(const uint64_t *bitmap, uint64_t pages);

/* Of the slots that the functions below can look at. */
#define DIRTY_PAGES_MAX	1024

/*
 * KVM_GET_DIRTY_LOG of a slot: are just these of its pages dirty?  They end with -1. Says
 * what is different.
 */
bool vm_dirty_is(struct vm *vm, uint32_t slot, uint64_t pages, ...);
#define PLAY_DIRTY(play, ...)						\
	vm_dirty_is((play)->vm, VM_PLAY_SLOT, (play)->size / PAGE_SIZE, ##__VA_ARGS__, -1)

/* The guest writes to a page of the play's slot. */
void play_write(struct play *play, unsigned int page);
/* The slot is set again, with these flags. */
void play_flags(struct play *play, uint32_t flags);

#endif

/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's side of a mapping: pages behind the VMM's addresses. */
#ifndef SLAT_HOST_H
#define SLAT_HOST_H

#include "pfnmap.h"
#include "table.h"

struct mm_struct;
struct page;

/**
 * struct slat_host_run - pages behind consecutive user addresses
 * @nr:		how many, each held; 0: there is one frame without page structure
 * @writable:	all of them may be written, without being unshared first
 * @page:	the pages
 * @pfnmap:	the frame
 */
struct slat_host_run {
	unsigned int nr;
	bool writable;
	struct page *page[SLAT_RUN_MAX];
	struct slat_pfnmap pfnmap;
};

/**
 * slat_host_get() - get the pages that are mapped from @hva on
 * @max:	how many at most, up to SLAT_RUN_MAX
 * @write:	the first one has to be writable
 *
 * The first page is faulted in if need be, for write if @write says so, otherwise in
 * the way that changes least: no page is unshared for a read.  The others are taken
 * as they are, up to the first that is not mapped, or not as the first one is.
 *
 * Context: process, in the mm of @hva; may sleep and fault.
 * Return: 0, and @run is to be put; -EFAULT: no memory there, or not such that may be
 * accessed so; -EAGAIN: it changed meanwhile; -EHWPOISON: it is broken; -EINTR,
 * -ERESTARTSYS: a signal; -ENOMEM.
 */
int slat_host_get(struct slat_host_run *run, unsigned long hva, unsigned int max, bool write);

/** slat_host_put() - let go of the pages, which leaves may map by now. */
void slat_host_put(struct slat_host_run *run);

/**
 * slat_host_level() - how large the mapping of @hva is in the host's page tables
 *
 * Context: mmu->lock held, and no invalidation of @hva under way, so that it stays.
 * Return: 1 to 3; 1 also when nothing is mapped.
 */
unsigned int slat_host_level(struct mm_struct *mm, unsigned long hva);

#endif

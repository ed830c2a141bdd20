/* SPDX-License-Identifier: GPL-2.0-only */
/* The host's side of a mapping: what is behind the VMM's addresses. */
#ifndef SLAT_HOST_H
#define SLAT_HOST_H

#include "pfnmap.h"
#include "table.h"

struct mm_struct;
struct page;

/**
 * struct slat_host_run - what the host maps at consecutive user addresses
 * @nr:		pages
 * @level:	how large the host maps the first, 1 to 3; @nr is 1 unless it is 1
 * @pfn:	their frames
 * @rights:	what leaves may grant without anything being unshared or marked first
 */
struct slat_host_run {
	unsigned int nr;
	unsigned int level;
	u64 pfn[SLAT_RUN_MAX];
	u8 rights[SLAT_RUN_MAX];
};

/**
 * slat_host_look() - what the host maps from @hva on, as it is
 * @max:	pages at most, up to SLAT_RUN_MAX
 * @access:	what is wanted of the first
 *
 * Ends with the first page that is not mapped, or that the kernel may only have by
 * slat_host_get().  No page is held: what is found stays while the lock is held, if no
 * invalidation of it is under way then.
 *
 * Context: mmu->lock of a VM of @mm held.
 * Return: whether there is any; then @run is filled in.
 */
bool slat_host_look(struct mm_struct *mm, unsigned long hva, unsigned int max,
		    unsigned int access, struct slat_host_run *run);

/**
 * slat_host_get_mapped() - the page that the host maps at @hva, to be read
 *
 * For what is mapped by a table of the usual depth and a page of the usual kind: a
 * fraction of get_user_pages_fast(), whose way of being sure of the page it is.
 *
 * Context: process, in the mm of @hva.
 * Return: the page, to be put; NULL: ask get_user_pages_fast().
 */
struct page *slat_host_get_mapped(struct mm_struct *mm, unsigned long hva);

/**
 * struct slat_host_page - what is behind one user address
 * @page:	held; NULL: there is a frame without page structure
 * @pfnmap:	the frame
 */
struct slat_host_page {
	struct page *page;
	struct slat_pfnmap pfnmap;
};

/**
 * slat_host_get() - get what is at @hva, faulted in if need be
 * @write:	it has to be writable; otherwise no page is unshared
 *
 * Context: process, in the mm of @hva; may sleep and fault.
 * Return: 0, and @page is to be put; -EFAULT: no memory there, or not such that may be
 * accessed so; -EAGAIN: it changed meanwhile; -EHWPOISON: it is broken; -EINTR,
 * -ERESTARTSYS: a signal; -ENOMEM.
 */
int slat_host_get(struct slat_host_page *page, unsigned long hva, bool write);

/** slat_host_put() - let go of what a leaf may map by now. */
void slat_host_put(struct slat_host_page *page);

#endif

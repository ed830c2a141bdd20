/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Host memory without page structures that could be held, as a driver maps a device's
 * registers into the VMM (VM_PFNMAP, VM_IO).
 */
#ifndef SLAT_PFNMAP_H
#define SLAT_PFNMAP_H

#include <linux/types.h>

/**
 * struct slat_pfnmap - a frame that the VMM's page tables map
 * @pfn:	its number.  Nobody holds it: it is there until the MMU notifier says
 *		otherwise, so slat_mmu_retry() decides whether it may be mapped
 * @writable:	the VMM may write it now
 * @is_mmio:	it is a device's, not RAM
 * @type:	enum slat_memtype, how the VMM maps it
 */
struct slat_pfnmap {
	u64 pfn;
	bool writable;
	bool is_mmio;
	unsigned int type;
};

/**
 * slat_pfnmap_get() - look up the frame behind a host address
 * @write:	it is to be written
 *
 * Has the driver enter the page first if need be.
 *
 * Context: process, in the VM's mm; may sleep.  mmu->inval_seq was read before.
 * Return: 0; -EFAULT: no such mapping there, a private one, or it does not allow the
 * access; -EAGAIN: it changed meanwhile; -EINTR: a signal; -ENOMEM.
 */
int slat_pfnmap_get(unsigned long hva, bool write, struct slat_pfnmap *pfnmap);

/** slat_pfnmap_is_at() - is there such memory at all?  Context: as slat_pfnmap_get(). */
bool slat_pfnmap_is_at(unsigned long hva);

#endif

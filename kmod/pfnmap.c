// SPDX-License-Identifier: GPL-2.0-only
/* Frames of VM_PFNMAP memory, found through the VMM's page tables. */
#include <linux/mm.h>
#include <linux/pfn.h>
#include <asm/e820/api.h>

#include "compat.h"
#include "entry.h"
#include "pfnmap.h"
#include "user.h"

/*
 * The caching bits of a page-table entry, as the kernel reads them.  Without the
 * CPU's PAT several modes share bits: the first is what they mean then.
 */
static unsigned int type_of(pgprot_t prot)
{
	static const struct {
		enum page_cache_mode mode;
		u8 type;
	} modes[] = {
		{ _PAGE_CACHE_MODE_WB, SLAT_MT_WB },
		{ _PAGE_CACHE_MODE_UC_MINUS, SLAT_MT_UC_MINUS },
		{ _PAGE_CACHE_MODE_UC, SLAT_MT_UC },
		{ _PAGE_CACHE_MODE_WC, SLAT_MT_WC },
		{ _PAGE_CACHE_MODE_WT, SLAT_MT_WT },
		{ _PAGE_CACHE_MODE_WP, SLAT_MT_WP },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if ((pgprot_val(prot) & _PAGE_CACHE_MASK) == cachemode2protval(modes[i].mode))
			return modes[i].type;
	return SLAT_MT_UC;
}

/*
 * Frames that the kernel knows: only the reserved ones can be a device's, and those
 * that are mapped WB are memory for all that matters here (NVDIMMs, for instance).
 * Others: whatever firmware did not call RAM.
 */
static bool is_mmio(u64 pfn, unsigned int type)
{
	if (pfn_valid(pfn))
		return PageReserved(pfn_to_page(pfn)) && type != SLAT_MT_WB;
	return !e820__mapped_raw_any(PFN_PHYS(pfn), PFN_PHYS(pfn + 1) - 1, E820_TYPE_RAM);
}

/* -EINVAL: not entered yet, or not for such an access. */
static int look(struct vm_area_struct *vma, unsigned long hva, bool write,
		struct slat_pfnmap *pfnmap)
{
	struct slat_pte pte;

	if (slat_pte_read(vma, hva, &pte) || (write && !pte.writable))
		return -EINVAL;
	*pfnmap = (struct slat_pfnmap) {
		.pfn = pte.pfn,
		.writable = pte.writable && (vma->vm_flags & VM_WRITE),
		.type = type_of(pte.prot),
	};
	pfnmap->is_mmio = is_mmio(pfnmap->pfn, pfnmap->type);
	return 0;
}

static bool is_pfnmap(const struct vm_area_struct *vma)
{
	return vma && (vma->vm_flags & (VM_IO | VM_PFNMAP));
}

static int get_locked(unsigned long hva, bool write, struct slat_pfnmap *pfnmap)
{
	struct vm_area_struct *vma = vma_lookup(current->mm, hva);
	bool unlocked = false;
	int ret;

	if (!is_pfnmap(vma) || !(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EFAULT;
	/* A private mapping may hold copies, which are pages like any other. */
	if (is_cow_mapping(vma->vm_flags))
		return -EFAULT;
	if (!look(vma, hva, write, pfnmap))
		return 0;
	ret = fixup_user_fault(current->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	if (ret)
		return ret;
	/* Else the area may be gone. */
	if (unlocked || look(vma, hva, write, pfnmap))
		return -EAGAIN;
	return 0;
}

int slat_pfnmap_get(unsigned long hva, bool write, struct slat_pfnmap *pfnmap)
{
	int ret;

	slat_user_access();
	mmap_read_lock(current->mm);
	ret = get_locked(hva, write, pfnmap);
	mmap_read_unlock(current->mm);
	return ret;
}

bool slat_pfnmap_is_at(unsigned long hva)
{
	bool found;

	slat_user_access();
	mmap_read_lock(current->mm);
	found = is_pfnmap(vma_lookup(current->mm, hva));
	mmap_read_unlock(current->mm);
	return found;
}

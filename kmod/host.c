// SPDX-License-Identifier: GPL-2.0-only
/* Host pages: getting them, and how large they are mapped. */
#include <linux/mm.h>
#include <linux/pgtable.h>

#include "host.h"
#include "user.h"

static unsigned int get_mapped(struct slat_host_run *run, unsigned long hva, unsigned int max,
			       bool write)
{
	const int nr = get_user_pages_fast_only(hva, max, write ? FOLL_WRITE : 0, run->page);

	run->nr = max(nr, 0);
	run->writable = write;
	return run->nr;
}

static int get_pfnmap(struct slat_host_run *run, unsigned long hva, bool write)
{
	int ret = slat_pfnmap_get(hva, write, &run->pfnmap);

	run->nr = 0;
	run->writable = run->pfnmap.writable;
	return ret;
}

int slat_host_get(struct slat_host_run *run, unsigned long hva, unsigned int max, bool write)
{
	long ret;

	/* Writable at once, where that costs nothing. */
	if (get_mapped(run, hva, max, true))
		return 0;
	if (!write && get_mapped(run, hva, max, false))
		return 0;
	ret = slat_get_user_pages(hva, 1, run->page, FOLL_HWPOISON | (write ? FOLL_WRITE : 0));
	/* Also what a driver maps, which has no pages to get. */
	if (ret == -EFAULT)
		return get_pfnmap(run, hva, write);
	if (ret != 1)
		return ret < 0 ? ret : -EFAULT;
	run->nr = 1;
	run->writable = write;
	return 0;
}

void slat_host_put(struct slat_host_run *run)
{
	unsigned int i;

	for (i = 0; i < run->nr; i++)
		put_page(run->page[i]);
}

/*
 * Interrupts off keep the host's tables from being freed, as for get_user_pages_fast().
 * Each entry is read once: others may change what lies beside @hva.
 */
static unsigned int walk(struct mm_struct *mm, unsigned long hva)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	if (pgd_none(pgd))
		return 1;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return 1;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		return 1;
	if (pud_leaf(pud))
		return 3;
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	return pmd_present(pmd) && pmd_leaf(pmd) ? 2 : 1;
}

unsigned int slat_host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned long flags;
	unsigned int level;

	local_irq_save(flags);
	level = walk(mm, hva);
	local_irq_restore(flags);
	return level;
}

// SPDX-License-Identifier: GPL-2.0-only
/* Host pages: looking them up in the host's page tables, and faulting them in. */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pgtable.h>

#include "host.h"
#include "user.h"

/*
 * May the frame be mapped on the strength of the host's entry alone?  Not what has no
 * page structure or no certain life, nor memory that the kernel is not to have at
 * all: of an unevictable file, as memfd_secret()'s is.
 */
static bool is_plain(u64 pfn)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));
	struct address_space *mapping;

	if (folio_test_anon(folio))
		return true;
	mapping = folio_mapping(folio);
	return mapping && !mapping_unevictable(mapping) && !folio_is_zone_device(folio);
}

static void add(struct slat_host_run *run, u64 pfn, bool writable)
{
	run->pfn[run->nr] = pfn;
	run->rights[run->nr++] = SLAT_R | SLAT_X | (writable ? SLAT_W : 0);
}

static bool look_large(struct slat_host_run *run, unsigned int level, u64 pfn, unsigned long hva,
		       bool writable)
{
	/* A driver's large mapping may be of frames without page structures, and looks the same. */
	if (!pfn_valid(pfn) || !is_plain(pfn))
		return false;
	run->level = level;
	add(run, pfn + ((hva >> PAGE_SHIFT) & (slat_span(level) - 1)), writable);
	return true;
}

static bool look_small(struct slat_host_run *run, pmd_t pmd, unsigned long hva, unsigned int max,
		       bool write)
{
	const pte_t *ptep = pte_offset_kernel(&pmd, hva);
	unsigned int i;

	run->level = 1;
	max = min_t(unsigned int, max, PTRS_PER_PTE - pte_index(hva));
	for (i = 0; i < max; i++) {
		const pte_t pte = READ_ONCE(ptep[i]);
		const bool writable = pte_access_permitted(pte, true);
		const u64 pfn = pte_pfn(pte);

		if (!writable && (!pte_access_permitted(pte, false) || (write && !i)))
			break;
		if (pte_special(pte) || !is_plain(pfn))
			break;
		add(run, pfn, writable);
	}
	return run->nr;
}

/* Each entry is read once: others may change what lies beside @hva. */
static __always_inline pud_t *find_pud(struct mm_struct *mm, unsigned long hva)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;

	if (pgd_none(pgd))
		return NULL;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return NULL;
	return pud_offset(&p4d, hva);
}

static bool walk(struct mm_struct *mm, unsigned long hva, unsigned int max, bool write,
		 struct slat_host_run *run)
{
	const pud_t *pudp = find_pud(mm, hva);
	pud_t pud;
	pmd_t pmd;

	if (!pudp)
		return false;
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud))
		return false;
	if (pud_leaf(pud))
		return pud_access_permitted(pud, write) &&
		       look_large(run, 3, pud_pfn(pud), hva, pud_write(pud));
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(pmd) || !pmd_present(pmd))
		return false;
	if (pmd_leaf(pmd))
		return pmd_access_permitted(pmd, write) &&
		       look_large(run, 2, pmd_pfn(pmd), hva, pmd_write(pmd));
	return look_small(run, pmd, hva, max, write);
}

bool slat_host_look(struct mm_struct *mm, unsigned long hva, unsigned int max,
		    unsigned int access, struct slat_host_run *run)
{
	unsigned long flags;
	bool found;

	run->nr = 0;
	/* Keeps the tables from being freed, as for get_user_pages_fast(). */
	local_irq_save(flags);
	found = walk(mm, hva, max, access & SLAT_W, run);
	local_irq_restore(flags);
	return found;
}

/* The frame may be anything by now: what the tables say has to be looked at again. */
static struct page *get_plain(u64 pfn)
{
	struct page *page = pfn_to_page(pfn);
	struct folio *folio = page_folio(page);

	if (!folio_try_get(folio))
		return NULL;
	if (page_folio(page) == folio && is_plain(pfn)) {
		folio_set_referenced(folio);
		return page;
	}
	folio_put(folio);
	return NULL;
}

static struct page *get_large(pmd_t pmd, unsigned long hva)
{
	const u64 pfn = pmd_pfn(pmd) + pte_index(hva);

	return pmd_access_permitted(pmd, false) && pfn_valid(pfn) ? get_plain(pfn) : NULL;
}

static struct page *get_small(pmd_t pmd, unsigned long hva)
{
	const pte_t *ptep = pte_offset_kernel(&pmd, hva);
	const pte_t pte = READ_ONCE(*ptep);
	struct page *page;

	if (!pte_access_permitted(pte, false) || pte_special(pte))
		return NULL;
	page = get_plain(pte_pfn(pte));
	if (page && pte_val(READ_ONCE(*ptep)) != pte_val(pte)) {
		put_page(page);
		return NULL;
	}
	return page;
}

static struct page *get_mapped(struct mm_struct *mm, unsigned long hva)
{
	const pud_t *pudp = find_pud(mm, hva);
	const pmd_t *pmdp;
	struct page *page;
	pud_t pud;
	pmd_t pmd;

	if (!pudp)
		return NULL;
	pud = READ_ONCE(*pudp);
	if (pud_none(pud) || !pud_present(pud) || pud_leaf(pud))
		return NULL;
	pmdp = pmd_offset(&pud, hva);
	pmd = READ_ONCE(*pmdp);
	if (pmd_none(pmd) || !pmd_present(pmd))
		return NULL;
	page = pmd_leaf(pmd) ? get_large(pmd, hva) : get_small(pmd, hva);
	/* A table that makes way for a large page takes its entries along unchanged. */
	if (page && pmd_val(READ_ONCE(*pmdp)) != pmd_val(pmd)) {
		put_page(page);
		return NULL;
	}
	return page;
}

struct page *slat_host_get_mapped(struct mm_struct *mm, unsigned long hva)
{
	struct page *page;
	unsigned long flags;

	local_irq_save(flags);
	page = get_mapped(mm, hva);
	local_irq_restore(flags);
	return page;
}

int slat_host_get(struct slat_host_page *page, unsigned long hva, bool write)
{
	const long ret = slat_get_user_pages(hva, 1, &page->page,
					     FOLL_HWPOISON | (write ? FOLL_WRITE : 0));

	if (ret == 1)
		return 0;
	page->page = NULL;
	/* Also what a driver maps, which has no pages to get. */
	if (!ret || ret == -EFAULT)
		return slat_pfnmap_get(hva, write, &page->pfnmap);
	return ret;
}

void slat_host_put(struct slat_host_page *page)
{
	if (page->page)
		put_page(page->page);
}

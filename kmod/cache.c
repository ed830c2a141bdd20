// SPDX-License-Identifier: GPL-2.0-only
/* Table pages: allocation, their descriptors, and stacks of them. */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "table.h"

/* As SecPageTables in /proc/meminfo, and sec_pagetables of the memory cgroup */
static void account(const struct slat_table *table, int pages)
{
	mod_lruvec_page_state(virt_to_page(table->entry), NR_SECONDARY_PAGETABLE, pages);
}

/*
 * Where the VMM's cgroup is at its limit, the VMM is to hear of it, which may know what
 * it can do without; the OOM killer would take the VMM itself.
 */
#define GFP_TABLE	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

struct slat_table *slat_table_alloc(u64 empty)
{
	struct slat_table *table = kzalloc(sizeof(*table), GFP_TABLE);

	if (!table)
		return NULL;
	table->entry = (u64 *)__get_free_page(GFP_TABLE);
	if (!table->entry) {
		kfree(table);
		return NULL;
	}
	memset64(table->entry, empty, SLAT_ENTRIES);
	set_page_private(virt_to_page(table->entry), (unsigned long)table);
	account(table, 1);
	return table;
}

void slat_table_free(struct slat_table *table)
{
	account(table, -1);
	set_page_private(virt_to_page(table->entry), 0);
	free_page((unsigned long)table->entry);
	kfree(table);
}

struct slat_table *slat_table_of(u64 pfn)
{
	return (struct slat_table *)page_private(pfn_to_page(pfn));
}

u64 slat_table_pfn(const struct slat_table *table)
{
	return virt_to_phys(table->entry) >> PAGE_SHIFT;
}

void slat_host_page_return(u64 pfn, bool accessed, bool dirty)
{
	struct folio *folio = page_folio(pfn_to_page(pfn));

	/* The zero page has no state of its own. */
	if (folio_test_reserved(folio))
		return;
	/*
	 * Only the flag: folio_mark_dirty() may sleep.  The host's own entry was
	 * dirtied when the page was got for write, and whoever cleans it
	 * invalidates us first.
	 */
	if (dirty && !folio_test_dirty(folio))
		folio_set_dirty(folio);
	/* To activate it as well is for the fault that brings it back. */
	if (accessed && !folio_test_referenced(folio))
		folio_set_referenced(folio);
}

void slat_cache_init(struct slat_cache *cache, u64 empty)
{
	INIT_LIST_HEAD(&cache->tables);
	cache->nr = 0;
	cache->empty = empty;
}

int slat_cache_fill(struct slat_cache *cache, unsigned int min)
{
	slat_may_sleep();
	while (cache->nr < min) {
		struct slat_table *table = slat_table_alloc(cache->empty);

		if (!table)
			return -ENOMEM;
		slat_cache_put(cache, table);
	}
	return 0;
}

struct slat_table *slat_cache_take(struct slat_cache *cache)
{
	struct slat_table *table = list_first_entry_or_null(&cache->tables,
							    struct slat_table, link);

	if (table) {
		list_del(&table->link);
		cache->nr--;
	}
	return table;
}

void slat_cache_put(struct slat_cache *cache, struct slat_table *table)
{
	list_add(&table->link, &cache->tables);
	cache->nr++;
}

void slat_cache_drain(struct slat_cache *cache)
{
	struct slat_table *table;

	while ((table = slat_cache_take(cache)))
		slat_table_free(table);
}

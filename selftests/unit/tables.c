// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dirty.h"
#include "tables.h"

#define PAGE	4096

#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#elif defined(__has_feature)
#define WITH_ASAN __has_feature(address_sanitizer)
#endif

#if WITH_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)		((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)	((void)0)
#endif

/*
 * The descriptor lies at the end of the page after the entries; what is in
 * between is out of bounds for everybody.
 */
struct page_pair {
	u64 entry[PAGE / sizeof(u64)];
	char gap[PAGE - sizeof(struct slat_table)];
	struct slat_table table;
};

static_assert(sizeof(struct page_pair) == 2 * PAGE);

long tables_left = -1;
void (*tables_on_return)(u64 pfn, bool accessed, bool dirty);
void (*tables_on_mark)(struct slat_mmu *mmu, u64 first, u64 last);

static long live;

long tables_live(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

long tables_leaves(const struct slat_mmu *mmu)
{
	unsigned int level;
	long leaves = 0;

	for (level = 1; level <= SLAT_LEAF_LEVELS; level++)
		leaves += atomic_long_read(&mmu->leaves[level - 1]);
	return leaves;
}

static bool may_alloc(void)
{
	if (tables_left > 0)
		tables_left--;
	else if (!tables_left)
		return false;
	return true;
}

struct slat_table *slat_table_alloc(u64 empty)
{
	struct page_pair *pair;
	unsigned int i;

	if (!may_alloc())
		return NULL;
	pair = aligned_alloc(PAGE, sizeof(*pair));
	if (!pair)
		abort();
	memset(pair, 0, sizeof(*pair));
	ASAN_POISON_MEMORY_REGION(pair->gap, sizeof(pair->gap));
	for (i = 0; i < SLAT_ENTRIES; i++)
		pair->entry[i] = empty;
	pair->table.entry = pair->entry;
	__atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
	return &pair->table;
}

void slat_table_free(struct slat_table *table)
{
	struct page_pair *pair = container_of(table, struct page_pair, table);

	ASAN_UNPOISON_MEMORY_REGION(pair->gap, sizeof(pair->gap));
	free(pair);
	__atomic_add_fetch(&live, -1, __ATOMIC_RELAXED);
}

struct slat_table *slat_table_of(u64 pfn)
{
	return &((struct page_pair *)(uintptr_t)(pfn * PAGE))->table;
}

u64 slat_table_pfn(const struct slat_table *table)
{
	return (uintptr_t)table->entry / PAGE;
}

void slat_host_page_return(u64 pfn, bool accessed, bool dirty)
{
	if (tables_on_return)
		tables_on_return(pfn, accessed, dirty);
}

void __slat_dirty_mark(struct slat_mmu *mmu, u64 first, u64 last)
{
	if (tables_on_mark)
		tables_on_mark(mmu, first, last);
}

void slat_cache_init(struct slat_cache *cache, u64 empty)
{
	INIT_LIST_HEAD(&cache->tables);
	cache->nr = 0;
	cache->empty = empty;
}

int slat_cache_fill(struct slat_cache *cache, unsigned int min)
{
	struct slat_table *table;

	for (; cache->nr < min; slat_cache_put(cache, table)) {
		table = slat_table_alloc(cache->empty);
		if (!table)
			return -ENOMEM;
	}
	return 0;
}

struct slat_table *slat_cache_take(struct slat_cache *cache)
{
	struct slat_table *table;

	if (list_empty(&cache->tables))
		return NULL;
	table = list_first_entry(&cache->tables, struct slat_table, link);
	list_del(&table->link);
	cache->nr--;
	return table;
}

void slat_cache_put(struct slat_cache *cache, struct slat_table *table)
{
	list_add(&table->link, &cache->tables);
	cache->nr++;
}

void slat_cache_drain(struct slat_cache *cache)
{
	while (cache->nr)
		slat_table_free(slat_cache_take(cache));
}
